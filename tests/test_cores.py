"""Cores by affinity and by a container's quota."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from explaind.cores import cores


@pytest.fixture
def quota(tmp_path: Path) -> Path:
    return tmp_path / "cpu.max"


@pytest.mark.parametrize("text", ["max 100000\n", "", "something else entirely", "100000 0"])
def test_without_a_limit_it_is_the_cores_it_may_run_on(quota: Path, text: str) -> None:
    quota.write_text(text)
    assert cores(quota) == len(os.sched_getaffinity(0))


def test_without_control_groups_too(quota: Path) -> None:
    assert cores(quota) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("text", ["100000 100000", "50000 100000", "1000 100000"])
def test_a_quota_of_at_most_one_core_is_one(quota: Path, text: str) -> None:
    quota.write_text(text)
    assert cores(quota) == 1


def test_a_quota_beyond_the_cores_gives_no_more(quota: Path) -> None:
    quota.write_text("100000000 100000")
    assert cores(quota) == len(os.sched_getaffinity(0))
