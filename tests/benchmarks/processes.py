"""What processes cost: CPU time to the nanosecond, memory now and at its highest. Linux only."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from pathlib import Path

import psutil

MIB = 1024.0
_SCHEDULER_CLOCK = 2
_RESET_PEAK = "5"


def cpu_seconds(pids: Iterable[int]) -> float:
    """Of all threads of these processes so far. /proc tells it in hundredths of a second, too coarse for a block."""
    return sum(time.clock_gettime((~pid << 3) | _SCHEDULER_CLOCK) for pid in pids)


def resident_mib(pids: Iterable[int]) -> float:
    return sum(_status(pid, "VmRSS") for pid in pids)


def peak_mib(pids: Iterable[int]) -> float:
    """Highest since `reset_peak`."""
    return sum(_status(pid, "VmHWM") for pid in pids)


def reset_peak(pids: Iterable[int]) -> None:
    """Where the kernel does not allow it, the peak is that of the whole life."""
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text(_RESET_PEAK)


def descendants(pid: int) -> tuple[int, ...]:
    """All processes below this one that compute: shells that only watch are left out."""
    return tuple(
        child.pid
        for child in psutil.Process(pid).children(recursive=True)
        if child.name() not in ("sh", "dash", "bash") and "resource_tracker" not in " ".join(child.cmdline())
    )


def maps_file(pid: int, part: str) -> bool:
    """Whether the process has mapped a file with this in its path: a library that is not mapped was not imported."""
    return part in Path(f"/proc/{pid}/maps").read_text()


def _status(pid: int, field: str) -> float:
    """MiB."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields[field].split()[0]) / MIB
