"""Which memory is gathered on huge pages, and that the values in it stay."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pytest

from explaind import huge_pages
from explaind.huge_pages import _allocated

SMAPS = """\
55d0a0000000-55d0a0800000 rw-p 00000000 00:00 0                          [heap]
Size:               8192 kB
Rss:                6000 kB
7f0000000000-7f0000800000 rw-p 00000000 00:00 0
Size:               8192 kB
Rss:                 120 kB
7f1000000000-7f1000100000 rw-p 00000000 00:00 0
Rss:                1024 kB
7f2000000000-7f2000800000 r-xp 00000000 00:00 0
Rss:                8192 kB
7f3000000000-7f3000800000 rw-p 00001000 fe:00 4711                       /usr/lib/libsome.so
Rss:                8192 kB
7f4000000000-7f4000400000 rw-p 00000000 00:00 0
Rss:                4096 kB
"""


def test_own_memory_that_is_mostly_there_is_gathered_and_neither_stacks_nor_files() -> None:
    assert list(_allocated(SMAPS)) == [(0x55D0A0000000, 0x55D0A0800000), (0x7F4000000000, 0x7F4000400000)]


def test_what_lies_in_gathered_memory_stays_as_it_is() -> None:
    values = np.random.default_rng(50).random(2 << 20)  # 16 MiB, a mapping of its own
    before, kept = _huge_kib(), values.copy()
    gathered = huge_pages.gather()
    np.testing.assert_array_equal(values, kept)
    if gathered:
        assert _huge_kib() > before


def test_a_system_without_them_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert huge_pages.gather() == 0


def _huge_kib() -> int:
    rolled = Path("/proc/self/smaps_rollup")
    found = re.search(r"AnonHugePages: +(\d+)", rolled.read_text()) if rolled.is_file() else None
    return int(found[1]) if found else 0
