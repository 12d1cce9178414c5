"""The calls that wait: who is next, and who goes along. No threads and no clock in here."""

from __future__ import annotations

from explaind.engine.batching.call import Call
from explaind.requests import CostClass

KINDS = tuple(CostClass)
MOST_OVERTAKEN = 32
"""Batches of its class that a call lets pass before it goes first whatever its deadline. Too small: deadlines order
nothing; too large: a call without one starves where the others come with one."""


class Waiting:
    """Not thread-safe. There are at most as many calls as requests in work, so that looking through all is cheap."""

    def __init__(self, batch_rows: int) -> None:
        self._batch_rows = batch_rows
        self._calls: dict[CostClass, dict[Call, int]] = {kind: {} for kind in CostClass}
        self._batches = dict.fromkeys(CostClass, 0)
        self._served_last = CostClass.REFERENCE
        self.count = 0

    def add(self, call: Call) -> None:
        """Behind those of its class that are due as early."""
        self._calls[call.cost_class][call] = self._batches[call.cost_class]
        self.count += 1

    def remove(self, call: Call) -> bool:
        """Whether it was there."""
        was_there = self._calls[call.cost_class].pop(call, None) is not None
        self.count -= was_there
        return was_there

    def take(self, *, slow: bool = True) -> tuple[Call, ...]:
        """The next batch, out of the queue; () where nobody waits. The first of it is the one whose turn it is.

        slow: whether that one may be of another class than the fast. Classes take turns; within one, the earliest
        deadline is first. Along go calls of the same graph as long as there is room, those of the same class
        before the others.
        """
        kind = self._next_class(slow)
        if kind is None:
            return ()
        self._served_last = kind
        first = self._first(kind)
        batch = (first, *self._company(first))
        for call in batch:
            self.remove(call)
        self._batches[kind] += 1
        return batch

    def _next_class(self, slow: bool) -> CostClass | None:
        after_last = KINDS.index(self._served_last) + 1
        in_turn = KINDS[after_last:] + KINDS[:after_last]
        return next((kind for kind in in_turn if self._calls[kind] and (slow or kind is CostClass.FAST)), None)

    def _first(self, kind: CostClass) -> Call:
        calls = self._calls[kind]
        oldest, since = next(iter(calls.items()))
        if self._batches[kind] - since >= MOST_OVERTAKEN:
            return oldest
        return min(calls, key=_due)

    def _company(self, first: Call) -> list[Call]:
        room = self._batch_rows - first.rows
        company = []
        for calls in (
            self._calls[first.cost_class],
            *(c for kind, c in self._calls.items() if kind is not first.cost_class),
        ):
            for call in sorted((call for call in calls if call is not first and call.fits(first)), key=_due):
                if call.rows <= room:
                    company.append(call)
                    room -= call.rows
        return company


def _due(call: Call) -> float:
    return call.due
