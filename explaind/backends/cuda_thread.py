"""The one thread of this process that computes on a CUDA device.

onnxruntime keeps what it records of a graph, with the memory that belongs to it, for each thread by itself: with
several, each would record everything anew while none of the others may touch the device (32 callers got 5 path masks a
second of 17 threads, and 80 through this one). The device does one call after the other anyway. Passing a call over
takes some 20 µs.
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


class _Job(Generic[Result]):
    """Work, and what came of it once `done` can be taken."""

    __slots__ = ("_error", "_result", "_work", "done")

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._result: Result | None = None
        self._error: BaseException | None = None
        self.done = threading.Lock()  # lighter than an Event, of which it uses nothing but this
        self.done.acquire()

    def finish(self) -> None:
        """In the thread."""
        try:
            self._result = self._work()
        except BaseException as error:  # the caller's to raise
            self._error = error
        self.done.release()

    def outcome(self) -> Result:
        """In the caller's thread, after the end. Raises what the work raised."""
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class CudaThread:
    """Works through jobs in the order they come; its thread ends with the process."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[_Job[Any]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work_on, name="explaind-cuda", daemon=True)
        self._thread.start()

    def run(self, work: Callable[[], Result]) -> Result:
        """What `work` returns or raises, computed there; from that thread itself at once."""
        if threading.current_thread() is self._thread:
            return work()
        job = _Job(work)
        self._jobs.put(job)
        job.done.acquire()
        return job.outcome()

    def _work_on(self) -> None:
        while True:
            self._jobs.get().finish()


@functools.cache
def cuda_thread() -> CudaThread:
    """Of this process, from the first time it is needed."""
    return CudaThread()
