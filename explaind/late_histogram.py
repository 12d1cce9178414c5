"""A histogram that costs the way of an answer next to nothing: it counts when somebody looks, or when it has many to
count.

prometheus_client's `observe` takes two locks, looks through the buckets and checks the exemplar, and an answer of a
millisecond is observed eight times. Here amounts are put aside, and counted together: all of a bucket at once.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable

from prometheus_client import Histogram
from prometheus_client.samples import Exemplar, Sample

Labels = dict[str, str]

MOST_ASIDE = 64
"""Amounts of one series. Larger: memory, and a longer pause where it is full; smaller: less is saved."""


class LateHistogram(Histogram):
    """Says what its parent says, and is thread-safe too. An exemplar has the time at which it came; whoever gives one
    sees to it that its names and values have 128 characters at most. To be observed with its labels filled in."""

    def _metric_init(self) -> None:
        super()._metric_init()
        self._aside: deque[tuple[float, Labels | None, float]] = deque()
        self._counting = threading.Lock()

    def observe(self, amount: float, exemplar: Labels | None = None) -> None:
        self._aside.append((amount, exemplar, time.time() if exemplar else 0.0))
        if len(self._aside) >= MOST_ASIDE:
            self._count()

    def _count(self) -> None:
        """All that was put aside before; what another thread adds meanwhile may be left for the next time."""
        total, counts, exemplars = 0.0, Counter[int](), dict[int, Exemplar]()
        with self._counting:  # else whoever looks would miss what another thread is about to add
            for _ in range(len(self._aside)):
                amount, exemplar, when = self._aside.popleft()
                bucket = bisect_left(self._upper_bounds, amount)
                total += amount
                counts[bucket] += amount == amount  # NaN is in no bucket
                if exemplar:  # the last of a bucket stays
                    exemplars[bucket] = Exemplar(exemplar, amount, when)
            self._sum.inc(total)
            for bucket, count in counts.items():
                self._buckets[bucket].inc(count)
            for bucket, latest in exemplars.items():
                self._buckets[bucket].set_exemplar(latest)

    def _child_samples(self) -> Iterable[Sample]:
        self._count()
        return super()._child_samples()
