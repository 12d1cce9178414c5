"""What several commands share: options to settings, and a missing extra said in one sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from explaind.errors import ConfigurationError

if TYPE_CHECKING:
    from explaind.settings import Settings


def settings_from(**options: object) -> Settings:
    """Settings with the options that were given (not None) over the environment's and the defaults.

    Raises BadParameter for an option that cannot be, and ConfigurationError naming a variable that cannot be.
    """
    with extra("server"):
        from pydantic import ValidationError
        from pydantic_settings import SettingsError

        from explaind.settings import Settings

    given: dict[str, Any] = {name: value for name, value in options.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as exc:
        problem = exc.errors()[0]
        name = str(problem["loc"][0])
        what = f"{problem['input']!r}: {problem['msg'].lower()}"
        if name in given:
            raise typer.BadParameter(f"{what}.", param_hint=f"--{name.replace('_', '-')}") from exc
        raise ConfigurationError(f"{variable(name)} is {what}; correct it.") from exc
    except SettingsError as exc:
        raise ConfigurationError(_unreadable(str(exc))) from exc


def variable(setting: str) -> str:
    """The environment variable of a setting."""
    return f"EXPLAIND_{setting.upper()}"


def _unreadable(said: str) -> str:
    found = re.search(r'field "(\w+)"', said)
    name = variable(found[1]) if found else "An EXPLAIND_ variable"
    return f"""{name} cannot be read; a list is written as JSON, as in '["onnx", "torchserve"]'."""


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
