"""A subject in a process of its own, which does nothing else: its CPU time and memory are nobody else's."""

from __future__ import annotations

import contextlib
import importlib
import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from tests.benchmarks import processes
from tests.benchmarks.turns import Block

Call = Callable[[int], int]
"""Does one thing, the n-th time, and says how many items that answered."""
START_SECONDS = 600.0
BLOCK_SECONDS = 600.0


@dataclass(frozen=True)
class Stage:
    """calls: what can be timed, by name. facts: of each, told with its rows. report: what the calls found so far.
    pids: the processes that do the work, as they are now; this one unless told otherwise."""

    calls: Mapping[str, Call]
    facts: Mapping[str, Any] = field(default_factory=dict)
    report: Callable[[], Any] = lambda: None
    pids: Callable[[], tuple[int, ...]] = lambda: (os.getpid(),)


Build = Callable[..., AbstractContextManager[Stage]]


class WorkerFailed(Exception):
    """What was timed raised; the message is its traceback."""


class Worker:
    """build: `module:function`, a context manager that yields a Stage; called in the new process with the options."""

    def __init__(self, build: str, **options: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, build, options), daemon=False)
        self._process.start()
        theirs.close()
        try:
            self.calls, self.facts = self._answer(START_SECONDS)
        except BaseException:
            self.close()
            raise

    def subject(self, call: str, concurrency: int = 1) -> WorkerSubject:
        assert call in self.calls, f"{call} is none of {self.calls}"
        return WorkerSubject(self, call, concurrency)

    def block(self, call: str, first: int, count: int, concurrency: int) -> Block:
        self._pipe.send((call, first, count, concurrency))
        block: Block = self._answer(BLOCK_SECONDS)
        return block

    def report(self) -> Any:
        self._pipe.send(())
        return self._answer(BLOCK_SECONDS)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # it may have ended by itself
            self._pipe.send(None)
        self._process.join(30)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            raise WorkerFailed(f"no answer within {seconds:g} s")
        try:
            good, told = self._pipe.recv()
        except EOFError as error:
            raise WorkerFailed(f"the process ended with {self._process.exitcode}") from error
        if not good:
            raise WorkerFailed(told)
        return told


class WorkerSubject:
    """One call of a worker. The n-th call of a block goes on where the last block ended."""

    def __init__(self, worker: Worker, call: str, concurrency: int) -> None:
        self._worker, self._call, self._concurrency = worker, call, concurrency
        self._next = 0

    def block(self, calls: int) -> Block:
        calls = max(calls, self._concurrency)
        first, self._next = self._next, self._next + calls
        return self._worker.block(self._call, first, calls, self._concurrency)


def _serve(pipe: Connection, build: str, options: Mapping[str, Any]) -> None:
    module, _, function = build.partition(":")
    try:
        with getattr(importlib.import_module(module), function)(**options) as stage:
            pipe.send((True, (tuple(stage.calls), dict(stage.facts))))
            while (asked := pipe.recv()) is not None:
                pipe.send((True, _block(stage, *asked) if asked else stage.report()))
    except EOFError:  # who asked has gone
        return
    except BaseException:
        pipe.send((False, traceback.format_exc()))


def _block(stage: Stage, name: str, first: int, count: int, concurrency: int) -> Block:
    call, pids = stage.calls[name], stage.pids()

    def one(number: int) -> tuple[float, int]:
        began = time.perf_counter()
        items = call(number)
        return time.perf_counter() - began, items

    processes.reset_peak(pids)
    cpu, began = processes.cpu_seconds(pids), time.perf_counter()
    numbers = range(first, first + count)
    if concurrency == 1:
        answered = [one(number) for number in numbers]
    else:
        with ThreadPoolExecutor(concurrency) as pool:
            answered = list(pool.map(one, numbers))
    wall = time.perf_counter() - began
    return Block(
        seconds=[seconds for seconds, _ in answered],
        items=sum(items for _, items in answered),
        wall=wall,
        cpu=processes.cpu_seconds(pids) - cpu,
        peak_mib=processes.peak_mib(pids),
    )
