"""One process at a time in a folder. The kernel lets go of it when the process dies, however it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explaind.errors import ConfigurationError


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Raises ConfigurationError where another process holds the folder. Leaves no file."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as exc:
        raise ConfigurationError(f"Another training is at work in {folder}; wait for it to end.") from exc
    finally:
        os.close(descriptor)
