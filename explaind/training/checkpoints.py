"""A fit's state after an epoch, in one file, so that a killed fit goes on where it was (no pickle).

`<network>.checkpoint` is a safetensors file: tensors, and in its header `digest` (of the fit it belongs to) and
`facts` (JSON). It is written beside itself, flushed to the disk and renamed: a reader sees the old one or the new one.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

SUFFIX = ".checkpoint"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """tensors: by name. facts: whatever JSON can say; its floats come back to the bit."""

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CheckpointFile:
    """path: of the file. digest: of all that decides the fit; a file of another fit is as good as none."""

    path: Path
    digest: str

    def save(self, snapshot: Snapshot) -> None:
        """Raises OSError where the folder cannot be written or is full; the file before is then left as it was."""
        partial = self.path.with_suffix(".partial")
        contiguous = {name: tensor.contiguous() for name, tensor in snapshot.tensors.items()}
        write_tensors(contiguous, partial, {"digest": self.digest, "facts": json.dumps(snapshot.facts)})
        partial.replace(self.path)

    def load(self) -> Snapshot | None:
        """None where there is no file, where it is damaged or of another fit."""
        try:
            with safe_open(self.path, framework="pt") as file:
                header = file.metadata() or {}
                if header.get("digest") != self.digest:
                    return None
                return Snapshot({name: file.get_tensor(name) for name in file.keys()}, json.loads(header["facts"]))  # noqa: SIM118
        except (OSError, SafetensorError, ValueError, KeyError):
            return None

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


def checkpoint_file(run: Path, name: str, digest: str) -> CheckpointFile:
    """Of the network `name` in a run folder."""
    return CheckpointFile(run / f"{name}{SUFFIX}", digest)


def write_tensors(tensors: Mapping[str, Tensor], path: Path, header: Mapping[str, str] | None = None) -> None:
    """To a file beside its place, which is then renamed. header: of text.

    Raises OSError where it cannot be written; nothing is left then.
    """
    try:
        save_file(dict(tensors), path, metadata=dict(header) if header else None)
        flush(path)
    except (OSError, SafetensorError) as exc:
        if path.is_file():
            path.unlink()
        raise OSError(errno.EIO, f"{exc}", str(path)) from exc


def flush(path: Path) -> None:
    """To the disk, so that a rename after it never shows an empty file, even after a power failure."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
