"""Which images a batch is about: every PNG, JPEG and WebP under a folder, always in the same order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from explaind_client.errors import InvalidRequest
from explaind_client.images import MAX_IMAGE_BYTES

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
MESSAGE_BYTES = MAX_IMAGE_BYTES
"""Encoded bytes put in one message; half of what the daemon's transport takes, so one large image always fits."""


@dataclass(frozen=True, slots=True)
class Source:
    """One image file. name: its path below the folder, with `/`, fit to be printed and stored; size: bytes, −1 where
    it could not be told."""

    path: Path
    name: str
    size: int


def find_images(folder: Path) -> tuple[Source, ...]:
    """Every image file under `folder`, sorted by name. Links to folders are not followed, for they may go round.

    Raises InvalidRequest where there is no such folder or no image in it.
    """
    if not folder.is_dir():
        raise InvalidRequest(f"{folder} is not a folder; give the folder of the images.", metadata={"field": "folder"})
    found = sorted(_walk(folder), key=lambda source: source.name)
    if not found:
        kinds = ", ".join(SUFFIXES)
        raise InvalidRequest(f"There is no image ({kinds}) under {folder}.", metadata={"field": "folder"})
    return tuple(found)


def digest(sources: Sequence[Source]) -> str:
    """SHA-256 over names and sizes: another list of images is another job."""
    sha = hashlib.sha256()
    for source in sources:
        sha.update(f"{source.name}\0{source.size}\n".encode())
    return sha.hexdigest()


def chunks(sources: Sequence[Source], count: int) -> Iterator[tuple[Source, ...]]:
    """Consecutive groups of at most `count` images that fit one message."""
    group: list[Source] = []
    size = 0
    for source in sources:
        if group and (len(group) == count or size + source.size > MESSAGE_BYTES):
            yield tuple(group)
            group, size = [], 0
        group.append(source)
        size += max(source.size, 0)
    if group:
        yield tuple(group)


def _walk(folder: Path) -> Iterator[Source]:
    for root, _, files in os.walk(folder):
        for file in files:
            if file.lower().endswith(SUFFIXES):
                path = Path(root, file)
                yield Source(path, _printable(path.relative_to(folder)), _size(path))


def _printable(path: Path) -> str:
    # A file name may hold bytes that are no UTF-8; Parquet and JSON take none.
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1  # a dangling link: reading it will tell why
