"""A large call over idle cores: its rows are computed in pieces side by side, each in a slot of its own.

The opposite of a batch, for the opposite load: where nobody else computes, one request may have all cores. A session
that computes with several threads gains less (on two cores, 99 rows of a classifier's gradient took 0.90 of one
thread's time with onnxruntime's own two threads, in two pieces 0.57), and costs the others their cores under load.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial

import numpy as np

from explaind.engine.batching.graph import Arrays, Outputs

Run = Callable[..., Outputs]


class Spreading:
    """Of one process. least_rows: of a piece; see `Settings.spread_rows`; 0: calls are never spread."""

    def __init__(self, least_rows: int, threads: int) -> None:
        self._least_rows = least_rows
        self._threads = ThreadPoolExecutor(max(1, threads), thread_name_prefix="explaind-piece")

    def pieces(self, rows: int, idle: int) -> int:
        """Into how many pieces a call is cut while `idle` cores could compute, its own among them."""
        return max(1, min(idle, rows // self._least_rows)) if self._least_rows else 1

    def run(self, run: Run, arrays: Arrays, pieces: int) -> Outputs:
        """What `run` makes of all rows, the first piece computed in this thread.

        Each piece is run for this thread's caller. Returns or raises when all of them have ended; raises what the
        first of them raised.
        """
        cut = [np.array_split(array, pieces) for array in arrays]
        first, *others = zip(*cut, strict=True)
        jobs: list[Future[Outputs]] = [
            self._threads.submit(contextvars.copy_context().run, partial(run, *piece)) for piece in others
        ]
        try:
            parts = [run(*first)]
        finally:
            wait(jobs)
        parts += [job.result() for job in jobs]
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True))

    def close(self) -> None:
        """Nothing may be running."""
        self._threads.shutdown()
