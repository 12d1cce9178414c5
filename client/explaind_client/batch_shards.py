"""Where a batch keeps its work: `OUT.parquet.parts/` holds a manifest and finished shards, then becomes OUT.parquet.

A file appears under its own name only when it is complete and on disk, so whatever is there after `kill -9` is done.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from explaind_client.batch_rows import Row
from explaind_client.errors import InvalidRequest

Manifest = dict[str, object]
METADATA_KEY = b"explaind.batch"


class Shards:
    """The parts of one output. manifest: what makes two runs the same job."""

    def __init__(self, output: Path, schema: pa.Schema, manifest: Manifest, sizes: Sequence[int]) -> None:
        self.output, self.parts = output, output.with_name(output.name + ".parts")
        self._text = json.dumps(manifest, sort_keys=True, indent=1)
        self._schema = schema.with_metadata({METADATA_KEY: self._text.encode()})
        self._sizes = tuple(sizes)

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Holds the parts folder for this process; refuses another job's, and a second run of this one."""
        try:
            self.parts.mkdir(parents=True, exist_ok=True)
            lock = (self.parts / "lock").open("w")
        except OSError as exc:
            raise InvalidRequest(f"{self.parts} cannot be written: {exc.strerror}; choose another output.") from exc
        with lock:
            self._lock(lock.fileno())
            self._claim()
            yield

    def complete(self) -> bool:
        """Is the output there already, from this very job? Then no part is left of it either.

        Raises InvalidRequest where the output is from another job.
        """
        if not self.output.exists():
            return False
        try:
            made_by = (pq.read_schema(self.output).metadata or {}).get(METADATA_KEY, b"")
        except (OSError, pa.ArrowInvalid):
            made_by = b""
        if made_by != self._text.encode():
            raise InvalidRequest(f"{self.output} exists and is not of this job; remove it or choose another output.")
        shutil.rmtree(self.parts, ignore_errors=True)  # a kill may have left some
        return True

    def missing(self) -> tuple[int, ...]:
        return tuple(index for index, size in enumerate(self._sizes) if not self._whole(index, size))

    def write(self, index: int, rows: Sequence[Row]) -> None:
        table = pa.Table.from_pylist(list(rows), schema=self._schema)
        _replace(self._part(index), lambda path: pq.write_table(table, path, compression="zstd"))

    def merge(self) -> None:
        """Joins the parts in order, then removes them; a kill in between is mended by `complete`."""
        _replace(self.output, self._join)
        shutil.rmtree(self.parts)

    def _join(self, path: Path) -> None:
        with pq.ParquetWriter(path, self._schema, compression="zstd") as writer:
            for index in range(len(self._sizes)):
                writer.write_table(pq.read_table(self._part(index)).cast(self._schema))

    def _part(self, index: int) -> Path:
        return self.parts / f"part-{index:06d}.parquet"

    def _whole(self, index: int, size: int) -> bool:
        try:
            return int(pq.read_metadata(self._part(index)).num_rows) == size
        except (OSError, pa.ArrowInvalid):
            return False

    def _claim(self) -> None:
        path = self.parts / "manifest.json"
        if not path.exists():
            _replace(path, lambda temporary: temporary.write_text(self._text))
        elif path.read_text() != self._text:
            raise InvalidRequest(
                f"{self.parts} holds another job ({_difference(path.read_text(), self._text)}); "
                "remove it or choose another output."
            )

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ends with the process, however it ends
        except OSError as exc:
            raise InvalidRequest(f"Another process is writing {self.output}; wait for it to end.") from exc


def read_summary(output: Path) -> tuple[int, int, int]:
    """(images, errors, anomalous) of a finished output."""
    table = pq.read_table(output, columns=["error", "anomalous"])
    errors = table.num_rows - table["error"].null_count
    return table.num_rows, errors, pc.sum(table["anomalous"]).as_py() or 0


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    temporary.replace(path)


def _difference(there: str, here: str) -> str:
    try:
        old, new = json.loads(there), json.loads(here)
    except ValueError:
        return "its manifest cannot be read"
    changed = [f"{key}: {old.get(key)} there, {value} here" for key, value in new.items() if old.get(key) != value]
    return "; ".join(changed) or "another version of explaind"
