"""From the command to health SERVING: what an orchestrator waits for.

With compiled bytecode, as pip leaves an installation, also where the run itself is told to write none.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import numpy as np

from tests.benchmarks import processes
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Part, Row

WHAT = "explaind serve"


def measure(effort: Effort) -> list[Part]:
    with _bytecode_kept():
        _start(effort)  # once to compile, and to warm the disk's cache
        starts = [_start(effort) for _ in range(max(effort.turns, 2))]
    row: Row = {
        "what": WHAT,
        "how": "onnx, demo bundle",
        "cpu_s": float(np.median([start["cpu_s"] for start in starts])),
        "most_cpu_s": max(start["cpu_s"] for start in starts),
        "wall_s": float(np.median([start["wall_s"] for start in starts])),
        "resident_mib": float(np.median([start["resident_mib"] for start in starts])),
        "imports_torch": any(start["imports_torch"] for start in starts),
        "starts": len(starts),
    }
    return [
        Part(
            name="cold start",
            title="Cold start to SERVING",
            rows=[row],
            columns=("what", "how", "cpu_s", "most_cpu_s", "wall_s", "resident_mib", "imports_torch", "starts"),
            notes=(
                "CPU seconds of the daemon's process, every thread; medians. Bytecode is compiled and files are in the "
                "disk's cache, as after an installation.",
            ),
        )
    ]


@contextmanager
def _bytecode_kept() -> Iterator[None]:
    """In a folder of its own, for the processes that are started meanwhile."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, {"PYTHONPYCACHEPREFIX": folder}):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        yield


def _start(effort: Effort) -> Row:
    began = time.perf_counter()
    with Daemon.running(model_store=effort.store) as daemon:
        cpu, wall = daemon.cpu_seconds(), time.perf_counter() - began
        torch = processes.maps_file(daemon.pid, "libtorch")
        return {"cpu_s": cpu, "wall_s": wall, "resident_mib": daemon.resident_mib(), "imports_torch": torch}
