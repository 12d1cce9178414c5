"""How many calls and rows the calls of a backend held: two histograms that cost next to nothing to observe.

A backend's call may take less than a tenth of a millisecond, and prometheus_client's `observe` takes 1.2 µs, of which
there would be two on the way of each. So pairs are counted here, and become histograms when somebody looks.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily

CALL_BUCKETS = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32)
ROW_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128)

Sizes = Counter[tuple[int, int]]
"""How often a backend's call held (calls, rows)."""


class BatchSizes:
    """explaind_batch_calls and explaind_batch_rows, by model. Thread-safe."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lock = threading.Lock()
        self._models: dict[str, Sizes] = {}
        registry.register(self)

    def observer(self, model: str) -> Callable[[int, int], None]:
        """Told of each call of a backend how many calls of requests it held, and how many rows."""
        with self._lock:
            sizes = self._models.setdefault(model, Counter())

        def observe(calls: int, rows: int) -> None:
            with self._lock:
                sizes[calls, rows] += 1

        return observe

    def collect(self) -> Iterator[HistogramMetricFamily]:
        with self._lock:
            seen = {model: sizes.copy() for model, sizes in self._models.items()}
        calls = HistogramMetricFamily(
            "explaind_batch_calls", "Model calls that one call of the backend computed together.", labels=("model",)
        )
        rows = HistogramMetricFamily("explaind_batch_rows", "Rows of one call of the backend.", labels=("model",))
        for model, sizes in seen.items():
            _add(calls, model, [(of, count) for (of, _), count in sizes.items()], CALL_BUCKETS)
            _add(rows, model, [(of, count) for (_, of), count in sizes.items()], ROW_BUCKETS)
        yield from (calls, rows)


def _add(family: HistogramMetricFamily, model: str, counted: list[tuple[int, int]], bounds: Sequence[int]) -> None:
    """counted: sizes and how often each was seen."""
    at_most = [(f"{float(bound)}", sum(count for size, count in counted if size <= bound)) for bound in bounds]
    total = sum(count for _, count in counted)
    family.add_metric([model], [*at_most, ("+Inf", total)], sum(size * count for size, count in counted))
