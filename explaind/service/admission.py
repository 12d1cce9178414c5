"""Who computes, who waits and who is refused: a bounded queue and its own workers for each cost class.

Health and reflection never pass here, so a probe is answered however many explanations run.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from explaind.errors import DeadlineTooShort, QueueFull
from explaind.explanations.budget import Budget
from explaind.metrics import Metrics
from explaind.requests import CostClass
from explaind.settings import Settings

Result = TypeVar("Result")
SHORTEST_RETRY, LONGEST_RETRY = 0.05, 10.0
SMOOTHING = 0.1
"""Weight of the newest duration in the running mean that `retry_after` is told from."""


class Admission:
    """One lane a cost class: millisecond work never waits behind a path mask, nor starves it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        workers = {CostClass.FAST: settings.workers, CostClass.SLOW: settings.slow_workers}
        self._lanes = {kind: Lane(kind, workers[kind], settings.queue_size, metrics) for kind in CostClass}

    async def run(
        self, cost_class: CostClass, work: Callable[[], Result], budget: Budget, *, patient: bool = False
    ) -> Result:
        """Runs `work` in a worker of its class.

        patient: wait for a place in the queue instead of being refused; for streams, whose flow control holds the
        caller back. Raises QueueFull, or DeadlineTooShort when the deadline passes in the queue. A cancelled caller
        leaves the queue, or cancels `budget` where the work has begun.
        """
        lane = self._lanes[cost_class]
        if not patient:
            return await lane.run(work, budget, may_refuse=True)
        async with lane.streamed:
            await lane.enter(budget, may_refuse=False)
        return await lane.compute(work, budget)

    async def close(self) -> None:
        """Waits for work that nobody waits for any more to notice its cancellation."""
        for lane in self._lanes.values():
            await lane.close()


class Lane:
    """`workers` threads and at most `queue_size` waiting, first come first served."""

    def __init__(self, cost_class: CostClass, workers: int, queue_size: int, metrics: Metrics) -> None:
        self._name = cost_class.value
        self._workers = workers
        self._queue_size = queue_size
        self._waiting = 0
        self._mean_seconds = SHORTEST_RETRY
        self._slots = asyncio.Semaphore(workers)
        # Streams may fill half of the queue, so that single calls still find a place beside them.
        self.streamed = asyncio.Semaphore(max(1, queue_size // 2))
        self._executor = ThreadPoolExecutor(workers, thread_name_prefix=f"explaind-{self._name}")
        self._depth = metrics.queue_depth.labels(self._name)
        self._inflight = metrics.inflight_requests.labels(self._name)
        self._wait_seconds = metrics.queue_wait_seconds.labels(self._name)

    async def run(self, work: Callable[[], Result], budget: Budget, *, may_refuse: bool) -> Result:
        await self.enter(budget, may_refuse=may_refuse)
        return await self.compute(work, budget)

    async def enter(self, budget: Budget, *, may_refuse: bool) -> None:
        """Takes a worker's slot, after waiting for one if need be."""
        arrived = time.monotonic()
        if may_refuse and self._slots.locked() and self._waiting >= self._queue_size:
            raise QueueFull(
                f"{self._waiting} requests of the {self._name} class are waiting; try again after the given delay.",
                retry_after=self._retry_after(),
                metadata={"cost_class": self._name, "queue_size": str(self._queue_size)},
            )
        self._waiting += 1
        self._depth.inc()
        try:
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

        def leave(_: Future[Result]) -> None:
            loop.call_soon_threadsafe(self._leave, started)

        self._inflight.inc()
        job = self._executor.submit(contextvars.copy_context().run, work)
        job.add_done_callback(leave)
        try:
            return await asyncio.wrap_future(job)
        except asyncio.CancelledError:
            budget.cancel()
            raise

    async def close(self) -> None:
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    def _leave(self, started: float) -> None:
        self._inflight.dec()
        self._mean_seconds += SMOOTHING * (time.monotonic() - started - self._mean_seconds)
        self._slots.release()

    def _retry_after(self) -> float:
        """Seconds until the queue that stands there now has been worked off, as far as its past tells."""
        seconds = self._mean_seconds * (self._waiting + 1) / self._workers
        return min(max(seconds, SHORTEST_RETRY), LONGEST_RETRY)


def _finite(seconds: float) -> float | None:
    return None if seconds == float("inf") else seconds
