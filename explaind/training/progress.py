"""How training shows that it goes on: a bar on a terminal, one plain line an epoch in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn


class Reporter(Protocol):
    def start(self, stage: str, steps: int) -> None:
        """A stage (a network, a statistic) of `steps` batches begins; 0 where nobody can tell."""
        ...

    def step(self) -> None: ...

    def note(self, text: str) -> None:
        """One line worth keeping in a log."""
        ...


class LogReporter:
    """Plain lines with the seconds since the start; steps are not shown."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._began = time.monotonic()
        self._stage = ""

    def start(self, stage: str, steps: int) -> None:
        self._stage = stage
        self.note("started")

    def step(self) -> None:
        return

    def note(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        print(f"{seconds:8.1f} s  {self._stage}: {text}", file=self._stream, flush=True)


class BarReporter:
    """A Rich progress bar for the running stage, notes above it."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._stage = ""
        self._task: TaskID | None = None

    def start(self, stage: str, steps: int) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._stage = stage
        self._task = self._progress.add_task(stage, total=steps or None)

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
