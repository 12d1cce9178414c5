"""What several commands share: options to settings, and a missing extra said in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from explaind.errors import ConfigurationError

if TYPE_CHECKING:
    from explaind.settings import Settings


def settings_from(**options: object) -> Settings:
    """Settings with the options that were given (not None) over the environment's and the defaults.

    Raises ConfigurationError naming the option or variable that cannot be.
    """
    from pydantic import ValidationError
    from pydantic_settings import SettingsError

    from explaind.settings import Settings

    try:
        return Settings(**{name: value for name, value in options.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as exc:
        problem = exc.errors()[0]
        name = ".".join(str(part) for part in problem["loc"])
        option, variable = f"--{name.replace('_', '-')}", f"EXPLAIND_{name.upper()}"
        raise ConfigurationError(
            f"{option} (or {variable}) is {problem['input']!r}: {problem['msg'].lower()}; correct it."
        ) from exc
    except SettingsError as exc:
        raise ConfigurationError(f"The environment cannot be read: {exc}; correct the EXPLAIND_ variable.") from exc


@contextmanager
def extra(name: str) -> Iterator[None]:
    """Around imports that need an extra; raises ConfigurationError saying how to install it."""
    try:
        yield
    except ImportError as exc:
        if exc.name is None or exc.name.partition(".")[0] == "explaind":
            raise  # a bug of ours, not a missing package
        raise ConfigurationError(
            f'This command needs {exc.name}; install it with: pip install "explaind[{name}]"'
        ) from exc
