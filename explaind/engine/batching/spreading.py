"""A large call over idle cores: its rows are computed in pieces side by side, each in a slot of its own.

The opposite of a batch, for the opposite load: where nobody else computes, one request may have all cores. A session
that computes with several threads gains less (on two cores, 99 rows of a classifier's gradient took 0.90 of one
thread's time with onnxruntime's own two threads, in two pieces 0.57), and costs the others their cores under load.

A core that seems idle may belong to another process, and a helper's piece then takes long. So the pieces are small,
whoever is free takes the next one, and the caller computes a late one itself: a call is never much slower than alone.
"""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from explaind.engine.batching.graph import Arrays, Outputs

Run = Callable[..., Outputs]


class Spreading:
    """Of one process. least_rows: of a piece; see `Settings.spread_rows`; 0: calls are never spread.

    whole: calls of up to that many rows are never spread, whatever idles.
    """

    def __init__(self, least_rows: int, threads: int) -> None:
        self._least_rows = least_rows
        self.whole = 2 * least_rows - 1 if least_rows else sys.maxsize
        self._threads = ThreadPoolExecutor(max(1, threads), thread_name_prefix="explaind-piece")

    def hands(self, rows: int, idle: int) -> int:
        """How many threads share a call while `idle` cores could compute, its own among them."""
        return max(1, min(idle, rows // self._least_rows)) if self._least_rows else 1

    def run(self, run: Run, arrays: Arrays, hands: int) -> Outputs:
        """What `run` makes of all rows, in this thread and hands − 1 others, for this thread's caller.

        Raises what a piece raised. A piece that was computed twice may still be on its way when this returns.
        """
        count = max(hands, len(arrays[0]) // self._least_rows)
        pieces = _Pieces(run, list(zip(*(np.array_split(array, count) for array in arrays), strict=True)))
        for _ in range(hands - 1):
            self._threads.submit(contextvars.copy_context().run, pieces.help)
        return tuple(np.concatenate(column) for column in zip(*pieces.finish(), strict=True))

    def close(self) -> None:
        """Nothing may be running."""
        self._threads.shutdown()


class _Pieces:
    """Of one call. A helper that finds none left ends."""

    def __init__(self, run: Run, pieces: Sequence[Arrays]) -> None:
        self._run, self._pieces = run, pieces
        self._left = deque(range(len(pieces)))
        self._outputs: dict[int, Outputs] = {}
        self._errors: list[Exception] = []
        self._done = [threading.Event() for _ in pieces]

    def help(self) -> None:
        """In another thread than the caller's."""
        while (place := self._next()) is not None:
            try:
                self._outputs[place] = self._run(*self._pieces[place])
            except Exception as error:  # the caller's to raise
                self._errors.append(error)
                self._left.clear()
            self._done[place].set()

    def finish(self) -> list[Outputs]:
        """In the caller's thread: all outputs, in order."""
        longest = 0.0
        try:
            while (place := self._next()) is not None:
                began = time.perf_counter()
                self._outputs[place] = self._run(*self._pieces[place])
                self._done[place].set()
                longest = max(longest, time.perf_counter() - began)
            return [self._output(place, longest) for place in range(len(self._pieces))]
        finally:
            self._left.clear()

    def _next(self) -> int | None:
        try:
            return self._left.popleft()
        except IndexError:
            return None

    def _output(self, place: int, patience: float) -> Outputs:
        """A helper's, where it comes within the time that a piece took here."""
        self._done[place].wait(patience)
        if self._errors:
            raise self._errors[0]
        outputs = self._outputs.get(place)
        return self._run(*self._pieces[place]) if outputs is None else outputs
