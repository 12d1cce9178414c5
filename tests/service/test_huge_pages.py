"""Memory in large pages: only what is used and stands for no file, and nothing changes in it."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from explaind.service import huge_pages

SMAPS = """\
55d0c0000000-55d0c0a00000 r-xp 00000000 08:01 1234                       /usr/bin/python3.11
Size:              10240 kB
Rss:               10240 kB
55d0c1000000-55d0c1800000 rw-p 00000000 00:00 0                          [heap]
Size:               8192 kB
Rss:                8192 kB
7f0000000000-7f0000800000 rw-p 00000000 00:00 0 
Size:               8192 kB
Rss:                 132 kB
7f0001000000-7f0001800000 rw-p 00000000 00:00 0 
Size:               8192 kB
Rss:                4096 kB
7f0002000000-7f0002800000 r--p 00000000 00:00 0 
Size:               8192 kB
Rss:                8192 kB
7ffc00000000-7ffc00800000 rw-p 00000000 00:00 0                          [stack]
Size:               8192 kB
Rss:                8192 kB
"""  # noqa: W291


def test_only_used_memory_of_our_own_is_gathered() -> None:
    assert list(huge_pages._filled_regions(SMAPS)) == [
        (0x55D0C1000000, 0x55D0C1800000),
        (0x7F0001000000, 0x7F0001800000),
    ]


@pytest.mark.parametrize("content", ["", "no such format\nRss: much\n", "\0\xff"])
def test_what_cannot_be_read_holds_nothing(content: str) -> None:
    assert list(huge_pages._filled_regions(content)) == []


def test_without_proc_nothing_happens(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(huge_pages, "_MAPS", tmp_path / "missing")
    assert huge_pages.gather() == 0


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has these")
def test_what_is_in_memory_stays_as_it_is() -> None:
    values = np.random.default_rng(0).integers(0, 256, 16 * huge_pages.PAGE, np.uint8)
    before = values.copy()
    assert huge_pages.gather() >= 0
    np.testing.assert_array_equal(values, before)
