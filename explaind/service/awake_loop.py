"""An event loop that stays awake while the next call is expected sooner than it would have fallen asleep and woken.

A core that sleeps has to be woken; a virtual one is when its host pleases, after up to 10 ms where others want the
core. All calls that come meanwhile queue up behind the first, and the closer the load is to what the loop bears, the
longer that lasts: the tail. Where calls come one close upon another the loop therefore looks for the next one
instead, which takes processor time that nobody else asked for: each look gives way to whoever wants the core.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import time
from collections.abc import Callable
from typing import Any

Events = list[tuple[selectors.SelectorKey, int]]

LATEST = 8
"""Waits whose length tells that of the next. More: the loop stays asleep at the beginning of a burst; fewer: two calls
that happen to come together keep it awake."""
MOST_COUNTED = 4
"""A wait counts as so many times the longest look at most: after an hour without a call it is soon awake again."""


class AwakeSelector(selectors.DefaultSelector):
    """Waits as its parent does, and longer awake."""

    def __init__(self) -> None:
        super().__init__()
        self._longest = self._expected = 0.0
        self._allowed: Callable[[], bool] = lambda: False
        self._told: Callable[[float], None] = lambda _: None

    def stay_awake(self, longest: float, allowed: Callable[[], bool], told: Callable[[float], None]) -> None:
        self._longest, self._allowed, self._told = longest, allowed, told
        self._expected = MOST_COUNTED * longest

    def select(self, timeout: float | None = None) -> Events:
        if not self._longest or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        if found := super().select(0):  # a loop that has no time to wait spends none on how it would
            self._expected -= self._expected / LATEST
            return found
        began = time.perf_counter()
        if self._expected <= self._longest / 2 and self._allowed():
            found = self._look(began, timeout)
            if timeout is not None:
                timeout = max(timeout - (time.perf_counter() - began), 0)
        found = found or super().select(timeout)
        waited = min(time.perf_counter() - began, MOST_COUNTED * self._longest)
        self._expected += (waited - self._expected) / LATEST
        return found

    def _look(self, began: float, timeout: float | None) -> Events:
        """What comes within the longest look, or before `timeout`; nothing, if nothing does."""
        end = began + (self._longest if timeout is None else min(self._longest, timeout))
        while not (found := super().select(0)) and time.perf_counter() < end:
            os.sched_yield()
        self._told(time.perf_counter() - began)
        return found


class AwakeLoop(asyncio.SelectorEventLoop):
    """Sleeps as every loop does until it is told to `stay_awake`."""

    def __init__(self) -> None:
        self._awake = AwakeSelector()
        super().__init__(self._awake)

    def stay_awake(
        self, longest: float, allowed: Callable[[], bool], told: Callable[[float], Any] = lambda _: None
    ) -> None:
        """Looks for the next event before it sleeps, where waits have been at most half of `longest` seconds lately and
        it is `allowed`: what computes in other threads needs core and interpreter more. 0: never.

        told: the seconds of each look.
        """
        self._awake.stay_awake(longest, allowed, told)
