"""Turns, percentiles and the process that is timed: figures are checked on blocks whose seconds are made up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.benchmarks import processes
from tests.benchmarks.turns import Block, Timed, in_turns
from tests.benchmarks.worker import Stage, Worker, WorkerFailed

HERE = "tests.benchmarks.test_turns"


class Written:
    """A subject that writes down when it was called."""

    def __init__(self, name: str, seconds: float, log: list[tuple[str, int]]) -> None:
        self.name, self.seconds, self.log = name, seconds, log

    def block(self, calls: int) -> Block:
        self.log.append((self.name, calls))
        return Block([self.seconds] * calls, calls, self.seconds * calls, 0.5 * self.seconds * calls, 10.0)


def test_subjects_take_turns_and_blocks_fill_the_time() -> None:
    log: list[tuple[str, int]] = []
    subjects = {("a", ""): Written("a", 0.01, log), ("b", ""): Written("b", 0.5, log)}
    timed = in_turns(subjects, turns=3, block_seconds=1.0)
    assert log[-6:] == [("a", 100), ("b", 2)] * 3
    assert len(timed["a", ""].blocks) == 3


def test_a_block_takes_every_input_as_often_unless_that_is_too_long() -> None:
    log: list[tuple[str, int]] = []
    subjects = {(name, ""): Written(name, each, log) for name, each in (("a", 0.015), ("b", 0.09), ("c", 0.5))}
    in_turns(subjects, turns=1, block_seconds=0.4, round_calls=20)
    assert log[-3:] == [("a", 20), ("b", 20), ("c", 1)]


def test_a_row_takes_the_median_of_the_turns_and_the_tails_of_all_calls() -> None:
    turns = [[0.001] * 99 + [1.0], [0.002] * 100, [0.003] * 100]
    timed = Timed([Block(seconds, 100, 0.2, 0.1, peak) for seconds, peak in zip(turns, (1, 3, 2), strict=True)])
    row = timed.row("a", "b", more=1)
    assert row["median_ms"] == pytest.approx(2.0) and row["turn_medians_ms"] == pytest.approx([1, 2, 3])
    assert row["p99_ms"] == pytest.approx(3.0) and row["peak_mib"] == 3 and row["more"] == 1
    assert row["items_per_second"] == pytest.approx(500) and row["cpu_ms"] == pytest.approx(1.0)


@contextmanager
def squares() -> Iterator[Stage]:
    seen: list[int] = []

    def call(number: int) -> int:
        seen.append(number)
        sum(n * n for n in range(200_000))
        return 2

    yield Stage({"squares": call, "fails": lambda _: 1 // 0}, facts={"squares": 4}, report=lambda: seen)


def test_a_worker_counts_its_own_work_and_goes_on_where_it_was() -> None:
    with Worker(f"{HERE}:squares") as worker:
        assert worker.facts == {"squares": 4}
        subject = worker.subject("squares")
        first = subject.block(3)
        assert first.items == 6 and len(first.seconds) == 3
        assert 0 < first.cpu <= 2 * first.wall and first.peak_mib > 1
        assert len(worker.subject("squares", concurrency=4).block(1).seconds) == 4
        subject.block(2)
        assert worker.report()[:3] == [0, 1, 2] and worker.report()[-2:] == [3, 4]


def test_what_a_worker_raises_is_told() -> None:
    with Worker(f"{HERE}:squares") as worker, pytest.raises(WorkerFailed, match="ZeroDivisionError"):
        worker.subject("fails").block(1)


def test_processes_are_measured() -> None:
    own = (os.getpid(),)
    before = processes.cpu_seconds(own)
    sum(n * n for n in range(500_000))
    assert processes.cpu_seconds(own) > before
    assert processes.peak_mib(own) >= 0.9 * processes.resident_mib(own) > 1
    assert processes.maps_file(os.getpid(), "libc") and not processes.maps_file(os.getpid(), "no such library")
