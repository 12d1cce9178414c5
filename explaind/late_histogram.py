"""A histogram that costs the way of an answer next to nothing: it counts when somebody looks.

prometheus_client's `observe` takes two locks and looks through the buckets, and an answer of a millisecond is observed
seven times. Here amounts are put aside, and counted together: all of a bucket at once.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping

from prometheus_client import Histogram
from prometheus_client.samples import Sample

MOST_ASIDE = 64
"""Amounts of one series. Larger: memory, and a longer pause where it is full; smaller: less is saved."""


class LateHistogram(Histogram):
    """As its parent, thread-safe too. An amount with an exemplar is counted at once, for the time that stands there."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._aside: deque[float] = deque()

    def observe(self, amount: float, exemplar: Mapping[str, str] | None = None) -> None:
        if exemplar is not None:
            super().observe(amount, dict(exemplar))
            return
        self._aside.append(amount)
        if len(self._aside) >= MOST_ASIDE:
            self._count()

    def _count(self) -> None:
        """What another thread puts aside meanwhile is left for the next time, or counted too; nothing is lost."""
        amounts = []
        try:
            while True:
                amounts.append(self._aside.popleft())
        except IndexError:
            pass  # another thread may have taken the last one
        if amounts:
            self._sum.inc(sum(amounts))
            for bucket, count in Counter(bisect_left(self._upper_bounds, amount) for amount in amounts).items():
                self._buckets[bucket].inc(count)

    def _child_samples(self) -> Iterable[Sample]:
        self._count()
        return super()._child_samples()
