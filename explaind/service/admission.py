"""Who computes, who waits and who is refused: a bounded queue and its own workers for each cost class.

Health and reflection never pass here, so a probe is answered however many explanations run.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import TypeVar

import structlog

from explaind.engine.sharing import Sharing
from explaind.errors import DeadlineTooShort, QueueFull
from explaind.explanations.budget import Budget
from explaind.metrics import Metrics
from explaind.requests import CostClass
from explaind.service.worker_threads import Outcome, WorkerThreads
from explaind.settings import Settings

log = structlog.get_logger(__name__)

Result = TypeVar("Result")
SHORTEST_RETRY, LONGEST_RETRY = 0.05, 10.0
REMEMBERED = 15
"""Latest durations whose median tells how long a queue takes: one long explanation among short ones does not count."""
ALWAYS_WAITING = 4
"""Calls for each worker that may wait however long: a stall of the machine is no overload."""
TELL_SECONDS = 1.0
"""A lane that refuses says so in the log this often, not once a refusal."""


class Admission:
    """One lane a cost class: millisecond work never waits behind a path mask, nor starves it, and neither waits for a
    minute of the reference solver's."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        workers = {
            CostClass.FAST: settings.workers,
            CostClass.SLOW: Sharing.of(settings).slow_workers,
            CostClass.REFERENCE: settings.reference_workers,
        }
        self._lanes = {kind: Lane(kind, workers[kind], settings, metrics) for kind in CostClass}
        self._longer = 0

    @property
    def crowded(self) -> bool:
        """Whether some class would be refused now."""
        return any(lane.is_full() for lane in self._lanes.values())

    @property
    def calm(self) -> bool:
        """Whether all that is computed or waits is brief."""
        return self._longer == 0

    def refusal(self, cost_class: CostClass, remaining: float) -> QueueFull | None:
        """What a call with `remaining` seconds left is to be refused with now; to be asked before any work for it."""
        return self._lanes[cost_class].refusal(remaining)

    def run_here(self, cost_class: CostClass, work: Callable[[], Result]) -> Result:
        """Runs `work` at once, on the event loop, where it is `calm`."""
        return self._lanes[cost_class].compute_here(work)

    async def run(
        self,
        cost_class: CostClass,
        work: Callable[[], Result],
        budget: Budget,
        *,
        patient: bool = False,
        brief: bool = False,
    ) -> Result:
        """Runs `work` in a worker of its class.

        brief: might run on the loop as well, and leaves it `calm`. patient: wait for a place in the queue instead of
        being refused; for streams, whose flow control holds the caller back. Raises QueueFull, or DeadlineTooShort
        when the deadline passes in the queue. A cancelled caller leaves the queue, or cancels `budget` where the work
        has begun.
        """
        lane = self._lanes[cost_class]
        self._longer += not brief
        try:
            if not patient:
                return await lane.run(work, budget, may_refuse=True)
            async with lane.streamed:
                await lane.enter(budget, may_refuse=False)
            return await lane.compute(work, budget)
        finally:
            self._longer -= not brief

    async def close(self) -> None:
        """Waits for work that nobody waits for any more to notice its cancellation."""
        for lane in self._lanes.values():
            await lane.close()


class Lane:
    """`workers` threads; waiting are at most `queue_size`, and beyond a few for each worker no more than are done
    within `queue_seconds`: a long explanation behind another is not refused for being long."""

    def __init__(self, cost_class: CostClass, workers: int, settings: Settings, metrics: Metrics) -> None:
        self._name = cost_class.value
        self._workers = workers
        self._queue_size = settings.queue_size
        self._queue_seconds = settings.queue_seconds
        self._few = min(ALWAYS_WAITING * workers, settings.queue_size)
        self._waiting = 0
        self._durations: deque[float] = deque(maxlen=REMEMBERED)
        self._typical_seconds: float | None = 0.0
        self._untold, self._told = 0, float("-inf")
        self._slots = asyncio.Semaphore(workers)
        # Items of streams that wait in the queue: one for each worker that may end next. More would feed no worker
        # better, and the queue would look too long to single calls.
        self.streamed = asyncio.Semaphore(max(1, min(workers, settings.queue_size // 2)))
        self._threads = WorkerThreads(workers, name=f"explaind-{self._name}")
        self._depth = metrics.queue_depth.labels(self._name)
        self._inflight = metrics.inflight_requests.labels(self._name)
        self._wait_seconds = metrics.queue_wait_seconds.labels(self._name)

    def is_full(self, remaining: float = float("inf")) -> bool:
        """Whether a call that has `remaining` seconds left is better told so than let wait."""
        if self._waiting < self._few:
            return False
        return self._waiting >= self._queue_size or self._wait() > min(self._queue_seconds, remaining)

    def refusal(self, remaining: float) -> QueueFull | None:
        """Raised or answered by whoever asks; counted as told."""
        if not self.is_full(remaining):
            return None
        self._tell()
        return QueueFull(
            f"Too many requests of the {self._name} class are waiting; try again after the given delay.",
            retry_after=min(max(self._wait(), SHORTEST_RETRY), LONGEST_RETRY),
            metadata={"cost_class": self._name, "queue_size": str(self._queue_size)},
        )

    async def run(self, work: Callable[[], Result], budget: Budget, *, may_refuse: bool) -> Result:
        await self.enter(budget, may_refuse=may_refuse)
        return await self.compute(work, budget)

    async def enter(self, budget: Budget, *, may_refuse: bool) -> None:
        """Takes a worker's slot, after waiting for one if need be."""
        arrived = time.monotonic()
        if may_refuse and (refusal := self.refusal(budget.remaining())) is not None:
            raise refusal
        if not self._slots.locked():
            await self._slots.acquire()  # does not suspend
            self._wait_seconds.observe(0.0)
            return
        self._waiting += 1
        self._depth.inc()
        try:
            await asyncio.sleep(0)  # a timeout needs a task: what has waited once runs in one
            async with asyncio.timeout(_finite(budget.remaining())):
                await self._slots.acquire()
        except TimeoutError:
            raise DeadlineTooShort(
                "The deadline passed while the request waited for a worker; allow more time or send less at once.",
                metadata={"cost_class": self._name},
            ) from None
        finally:
            self._waiting -= 1
            self._depth.dec()
            self._wait_seconds.observe(time.monotonic() - arrived)

    async def compute(self, work: Callable[[], Result], budget: Budget) -> Result:
        """Runs `work` in a thread, with this task's context variables; the slot is free again when the thread is,
        not when the caller has gone."""
        loop, started = asyncio.get_running_loop(), time.monotonic()
        answer: asyncio.Future[Result] = loop.create_future()

        def finish(outcome: Outcome[Result]) -> None:
            self._leave(started)
            outcome.pass_on(answer)

        self._inflight.inc()
        # Slot and answer in one: every call into the loop from a thread wakes it up.
        self._threads.run(
            partial(contextvars.copy_context().run, work), lambda outcome: loop.call_soon_threadsafe(finish, outcome)
        )
        try:
            return await answer
        except asyncio.CancelledError:
            budget.cancel()
            raise

    def compute_here(self, work: Callable[[], Result]) -> Result:
        """Runs `work` on the event loop; who cancels is heard afterwards."""
        started = time.monotonic()
        self._wait_seconds.observe(0.0)
        self._inflight.inc()
        try:
            return work()
        finally:
            self._end(started)

    async def close(self) -> None:
        await asyncio.to_thread(self._threads.close)

    def _leave(self, started: float) -> None:
        self._end(started)
        self._slots.release()

    def _end(self, started: float) -> None:
        self._inflight.dec()
        self._durations.append(time.monotonic() - started)
        self._typical_seconds = None

    def _wait(self) -> float:
        """Seconds until the queue that stands there now has been worked off, as far as its past tells."""
        if self._typical_seconds is None:  # found where it is asked for: most calls find no queue
            self._typical_seconds = median(self._durations)
        return self._typical_seconds * (self._waiting + 1) / self._workers

    def _tell(self) -> None:
        self._untold += 1
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS:
            log.warning("queue full", cost_class=self._name, refused=self._untold, waiting=self._waiting)
            self._untold, self._told = 0, now


def _finite(seconds: float) -> float | None:
    return None if seconds == float("inf") else seconds
