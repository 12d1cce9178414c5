"""How training shows that it goes on: a bar on a terminal, one plain line an epoch in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Reporter(Protocol):
    def start(self, stage: str, steps: int) -> None:
        """A stage (a network, a statistic) of `steps` batches begins; 0 where nobody can tell."""
        ...

    def skip(self, steps: int) -> None:
        """So many of the stage's steps were done by an earlier run."""
        ...

    def step(self) -> None: ...

    def note(self, text: str) -> None:
        """One line worth keeping in a log."""
        ...


class LogReporter:
    """Plain lines with the seconds since the start and, while a stage runs, the time it may still take at most."""

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream, self._clock = stream, clock
        self._began = clock()
        self._pace = _Pace(0, self._began)
        self._stage = ""

    def start(self, stage: str, steps: int) -> None:
        self._stage = stage
        self._pace = _Pace(steps, self._clock())
        self.note("started")

    def skip(self, steps: int) -> None:
        self._pace.left -= steps

    def step(self) -> None:
        self._pace.left -= 1
        self._pace.done += 1

    def note(self, text: str) -> None:
        now = self._clock()
        left = self._pace.seconds_left(now)
        line = f"{now - self._began:8.1f} s  {self._stage}: {text}"
        print(line if left is None else f"{line}, {spoken(left)} left at most", file=self._stream, flush=True)


@dataclass
class _Pace:
    """left: steps of a stage not yet done. done: of it, since `began`."""

    left: int
    began: float
    done: int = 0

    def seconds_left(self, now: float) -> float | None:
        """At the pace so far; None where nothing is left or nothing has been done yet."""
        return (now - self.began) / self.done * self.left if self.done and self.left > 0 else None


class BarReporter:
    """A Rich progress bar for the running stage, with its time left; notes above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._task: TaskID | None = None

    def start(self, stage: str, steps: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._stage = stage
        self._task = self._progress.add_task(stage, total=steps or None)

    def skip(self, steps: int) -> None:
        if self._task is not None:
            self._progress.update(self._task, completed=steps)

    def step(self) -> None:
        if self._task is not None:
            self._progress.advance(self._task)

    def note(self, text: str) -> None:
        self._progress.console.print(f"{self._stage}: {text}", highlight=False, markup=False)


@contextmanager
def reporting(stream: TextIO | None = None) -> Iterator[Reporter]:
    """The reporter that suits `stream` (default: standard error)."""
    stream = stream or sys.stderr
    if not stream.isatty():
        yield LogReporter(stream)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        yield BarReporter(progress)


def figures(values: Mapping[str, float]) -> str:
    """`loss 0.0123, accuracy 0.991`."""
    return ", ".join(f"{name} {value:.4g}" for name, value in values.items())


def spoken(seconds: float) -> str:
    """`40 s`, `3 min`, `1 h 20 min`: as exact as such an estimate can be."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
