"""How many processor cores this process may compute with."""

from __future__ import annotations

import math
import os
from pathlib import Path

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Of the container, on Linux with control groups of version 2: microseconds in each period, as in `200000 100000`."""


def cores(quota: Path = QUOTA) -> int:
    """Those it may run on, or what its container's quota is worth where that is less; at least 1.

    A container limited to 2 cores on a machine of 64 may run on all of them, and computes with 2.
    """
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, math.ceil(_worth(quota))))


def _worth(quota: Path) -> float:
    """All cores where there is no limit, no such file, or something else in it."""
    try:
        allowed, period = quota.read_text(encoding="ascii").split()
        return int(allowed) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # `max` is no number
        return float(os.cpu_count() or 1)
