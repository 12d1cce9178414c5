"""A folder that is replaced whole or not at all, whatever ends the process in between."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from explaind.errors import ConfigurationError
from explaind.training.folder_lock import locked

_AT_WORKING_FOLDER = -100  # AT_FDCWD
_EXCHANGE = 2  # RENAME_EXCHANGE
_OLD = ".old"


def require_writable(folder: Path) -> None:
    """Raises ConfigurationError where `folder` could not be replaced. Clears what killed processes left beside it."""
    with _parent_of(folder):
        _partial_beside(folder).rmdir()


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A hidden folder beside `folder` that takes its place at the end, or leaves no trace if anything fails.

    A process that is killed leaves `folder` as it was and the hidden one, which the next call here clears.
    """
    with _parent_of(folder):
        partial = _partial_beside(folder)
        try:
            yield partial
            _make_readable(partial)
            _swap(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _parent_of(folder: Path) -> Iterator[None]:
    """Made, held against others, and cleared."""
    with _naming_the_parent(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent):
        _clear_leftovers(folder)
        yield


def _partial_beside(folder: Path) -> Path:
    with _naming_the_parent(folder):
        return Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))


@contextmanager
def _naming_the_parent(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(
            f"The folder {folder.parent} cannot be written ({exc.strerror}); choose another or change its rights."
        ) from exc


def _clear_leftovers(folder: Path) -> None:
    """An old version that had stepped aside when its process was killed comes back."""
    for leftover in sorted(folder.parent.glob(f".{folder.name}.*")):
        if leftover.name.endswith(_OLD) and not folder.exists():
            leftover.replace(folder)
        else:
            shutil.rmtree(leftover, ignore_errors=True)


def _make_readable(folder: Path) -> None:
    """A service often runs as another user than the one who trains."""
    folder.chmod(0o755)
    for path in folder.iterdir():
        path.chmod(0o755 if path.is_dir() else 0o644)


def _swap(partial: Path, folder: Path) -> None:
    """A reader sees the old folder or the new one. Where the file system cannot exchange two folders, the old one
    steps aside first: then a reader may see none, never a mixture."""
    if not folder.exists():
        partial.replace(folder)
    elif not _exchange(partial, folder):
        old = folder.with_name(f"{partial.name}{_OLD}")
        folder.replace(old)
        partial.replace(folder)
        shutil.rmtree(old, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Linux's renameat2 with RENAME_EXCHANGE: both names change hands at once. False where it is not to be had."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None)
    if rename is None:
        return False
    names = (_AT_WORKING_FOLDER, os.fsencode(first), _AT_WORKING_FOLDER, os.fsencode(second))
    return bool(rename(*names, _EXCHANGE) == 0)
