"""A few threads that compute what the event loop must not.

Leaner than an executor: no future with its lock and condition for each job, which cost a prediction a twentieth of its
time. A lane hands out no more jobs than it has threads, so a job begins at once.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """What a job returned, or raised."""

    result: Result | None = None
    error: BaseException | None = None

    @classmethod
    def of(cls, work: Callable[[], Result]) -> Outcome[Result]:
        try:
            return cls(result=work())
        except BaseException as error:  # whoever waits for it decides what becomes of it
            return cls(error=error)

    def pass_on(self, answer: asyncio.Future[Result]) -> None:
        """On the event loop; nothing where nobody waits for `answer` any more."""
        if answer.done():
            return
        if self.error is not None:
            answer.set_exception(self.error)
        else:
            answer.set_result(self.result)  # type: ignore[arg-type]  # a result that is None was one


class WorkerThreads:
    """`count` threads, started as they are needed first, alive until `close`.

    The one that has been idle shortest computes next: its core's caches still hold the networks.
    """

    def __init__(self, count: int, *, name: str) -> None:
        self._count, self._name = count, name
        self._jobs: deque[Callable[[], None] | None] = deque()
        self._idle: list[_Sleeper] = []
        self._threads: list[threading.Thread] = []
        self._starting = threading.Lock()

    def run(self, work: Callable[[], Result], done: Callable[[Outcome[Result]], Any]) -> None:
        """Calls `done` in the thread that has computed `work`. A `done` that raises, as into a loop that is closed,
        harms no other job."""
        self._start()
        self._give(lambda: done(Outcome.of(work)))

    def close(self) -> None:
        """Returns when what has begun is done. Nothing may be run afterwards."""
        for _ in self._threads:
            self._give(None)
        for thread in self._threads:
            thread.join()

    def _give(self, job: Callable[[], None] | None) -> None:
        self._jobs.append(job)
        try:
            self._idle.pop().wake()
        except IndexError:  # all are at work: the first to end takes it
            return

    def _start(self) -> None:
        if len(self._threads) == self._count:
            return
        with self._starting:
            while len(self._threads) < self._count:
                place = len(self._threads)
                thread = threading.Thread(target=self._work, name=f"{self._name}_{place}", daemon=True)
                thread.start()
                self._threads.append(thread)

    def _work(self) -> None:
        sleeper = _Sleeper()
        while (job := self._next(sleeper)) is not None:
            try:
                job()
            except RuntimeError:  # the loop is closed: nobody waits any more
                continue
            finally:
                del job  # its answer may be large, and the next job may be long in coming

    def _next(self, sleeper: _Sleeper) -> Callable[[], None] | None:
        """None: the end. Lists and deques are safe by themselves; a thread that is listed as idle looks once more
        before it sleeps, since a job may have come in between."""
        while True:
            try:
                return self._jobs.popleft()
            except IndexError:
                self._idle.append(sleeper)
            if self._jobs and self._taken_back(sleeper):
                continue
            sleeper.sleep()

    def _taken_back(self, sleeper: _Sleeper) -> bool:
        """Off the list of the idle; False where it is being woken already."""
        try:
            self._idle.remove(sleeper)
        except ValueError:
            return False
        return True


class _Sleeper:
    """Each `wake` ends one `sleep`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def sleep(self) -> None:
        self._lock.acquire()

    def wake(self) -> None:
        self._lock.release()
