"""From the command to health SERVING: what an orchestrator waits for."""

from __future__ import annotations

import time

import numpy as np

from tests.benchmarks import processes
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Part, Row

WHAT = "explaind serve"


def measure(effort: Effort) -> list[Part]:
    for _ in range(1):  # once to warm the disk's cache
        _start(effort)
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
            notes=("CPU seconds of the daemon's process, every thread; medians. Files are in the disk's cache.",),
        )
    ]


def _start(effort: Effort) -> Row:
    began = time.perf_counter()
    with Daemon.running(model_store=effort.store) as daemon:
        cpu, wall = daemon.cpu_seconds(), time.perf_counter() - began
        torch = processes.maps_file(daemon.pid, "libtorch")
        return {"cpu_s": cpu, "wall_s": wall, "resident_mib": daemon.resident_mib(), "imports_torch": torch}
