"""Callers who ask again as soon as they are answered, or calls at a constant rate: bounded in time and number.

A closed loop slows down with the daemon and so hides what callers see when more arrives than can be served; a constant
rate does not.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from explaind_client.errors import ExplaindError

Call = Callable[[], Awaitable[object]]
MOST_OPEN = 5_000
"""Calls without an answer from which on no more are sent: memory of the one who asks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """callers: of the closed loop, where `rate` is None. rate: calls a second. seconds: how long calls are sent; most:
    how many at most. warm_up: calls before those. timeout: of each call, seconds."""

    callers: int
    rate: float | None
    seconds: float
    most: int
    warm_up: int
    timeout: float


@dataclass(slots=True)
class Measured:
    """seconds: of each call that was answered, from when it was due. failures: the others, by the reason they were
    told. late: seconds by which calls went out later than due, our own fault. unsent: calls due while MOST_OPEN were
    open. elapsed: seconds until the last answer."""

    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    late: list[float] = field(default_factory=list)
    unsent: int = 0
    elapsed: float = 0.0


async def run(call: Call, plan: LoadPlan) -> Measured:
    """Raises what the first call of the warm-up raises: a request that cannot be answered is no load."""
    for _ in range(plan.warm_up):
        await call()
    load = _Load(call, plan)
    began = time.perf_counter()
    await (load.closed(began) if plan.rate is None else load.open(began, plan.rate))
    load.measured.elapsed = time.perf_counter() - began
    return load.measured


class _Load:
    def __init__(self, call: Call, plan: LoadPlan) -> None:
        self._call, self._plan = call, plan
        self._sent = 0
        self._open: set[asyncio.Task[None]] = set()
        self.measured = Measured()

    async def closed(self, began: float) -> None:
        end = began + self._plan.seconds

        async def caller() -> None:
            while (now := time.perf_counter()) < end and self._sent < self._plan.most:
                self._sent += 1
                await self._one(now)

        await asyncio.gather(*(caller() for _ in range(min(self._plan.callers, self._plan.most))))

    async def open(self, began: float, rate: float) -> None:
        """Sends each call when it is due; those that are due already, at once."""
        for number in range(min(max(round(rate * self._plan.seconds), 1), self._plan.most)):
            due = began + number / rate
            await asyncio.sleep(max(due - time.perf_counter(), 0.0))
            if len(self._open) >= MOST_OPEN:
                self.measured.unsent += 1
                continue
            self.measured.late.append(time.perf_counter() - due)
            task = asyncio.create_task(self._one(due))
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        await asyncio.gather(*self._open)

    async def _one(self, due: float) -> None:
        try:
            await self._call()
        except ExplaindError as error:
            self.measured.failures[error.reason] += 1
        else:
            self.measured.seconds.append(time.perf_counter() - due)
