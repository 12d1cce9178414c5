"""A histogram that counts later says what prometheus_client's own says, whoever looks and however many observe."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from explaind.late_histogram import MOST_ASIDE, LateHistogram

BUCKETS = (2**-10, 2**-4, 0.125, 1.0)
"""And amounts of a few digits: their sums are the same in any order."""


def _made(kind: type[Histogram]) -> tuple[CollectorRegistry, Histogram]:
    registry = CollectorRegistry()
    return registry, kind("seconds", "Of something.", ("of",), buckets=BUCKETS, registry=registry)


def _told(registry: CollectorRegistry) -> list[str]:
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@pytest.mark.parametrize("count", [0, 1, MOST_ASIDE - 1, MOST_ASIDE, 3 * MOST_ASIDE + 5])
def test_it_says_what_the_usual_one_says(count: int) -> None:
    amounts = np.random.default_rng(count).choice([0.0, 2**-10, 2**-9, 0.125, 1.0, 1.5, 2.0**30, 0.25], count)
    told = []
    for kind in (Histogram, LateHistogram):
        registry, histogram = _made(kind)
        for place, amount in enumerate(amounts.tolist()):
            histogram.labels("odd" if place % 2 else "even").observe(amount)
        told.append(_told(registry))
    assert told[0] == told[1]


def test_each_look_sees_all_so_far() -> None:
    registry, histogram = _made(LateHistogram)
    for seen in range(1, 10):
        histogram.labels("it").observe(0.5)
        assert registry.get_sample_value("seconds_count", {"of": "it"}) == seen


def test_no_more_is_put_aside_than_was_said() -> None:
    registry, histogram = _made(LateHistogram)
    series = histogram.labels("it")
    for _ in range(10 * MOST_ASIDE + 3):
        series.observe(0.5)
    assert len(series._aside) == 3  # type: ignore[attr-defined]
    assert registry.get_sample_value("seconds_count", {"of": "it"}) == 10 * MOST_ASIDE + 3


def test_the_last_exemplar_of_a_bucket_stays_with_the_time_it_came() -> None:
    registry, histogram = _made(LateHistogram)
    histogram.labels("it").observe(0.5, {"request_id": "r-0"})
    before = time.time()
    histogram.labels("it").observe(0.75, {"request_id": "r-1"})
    after = time.time()
    histogram.labels("it").observe(0.75)
    histogram.labels("it").observe(3.0, {"request_id": "r-2"})
    time.sleep(0.05)
    lines = [line for line in generate_openmetrics(registry).decode().splitlines() if "request_id" in line]
    first, last = (line.split("# ")[1].split() for line in lines)
    assert ['le="1.0"' in lines[0], 'le="+Inf"' in lines[1]] == [True, True]
    assert first[:2] == ['{request_id="r-1"}', "0.75"]
    assert before - 0.001 <= float(first[2]) <= after + 0.001
    assert last[:2] == ['{request_id="r-2"}', "3.0"]
    assert registry.get_sample_value("seconds_count", {"of": "it"}) == 4


def test_no_number_is_in_no_bucket() -> None:
    told = []
    for kind in (Histogram, LateHistogram):
        registry, histogram = _made(kind)
        for amount in (0.5, float("nan"), 2.0):
            histogram.labels("it").observe(amount)
        told.append(_told(registry))
    assert told[0] == told[1]


def test_who_looks_waits_for_who_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    registry, histogram = _made(LateHistogram)
    series = histogram.labels("it")
    taken, go_on = threading.Event(), threading.Event()
    add = series._sum.inc

    def late(amount: float) -> None:
        taken.set()
        go_on.wait(10)
        add(amount)

    monkeypatch.setattr(series._sum, "inc", late)
    with ThreadPoolExecutor(2) as pool:
        pool.submit(lambda: [series.observe(0.5) for _ in range(MOST_ASIDE)])
        assert taken.wait(10)  # all are taken from where they were put aside, and none is counted
        looking = pool.submit(registry.get_sample_value, "seconds_count", {"of": "it"})
        time.sleep(0.05)
        go_on.set()
        assert looking.result(10) == MOST_ASIDE


def test_threads_lose_none_while_it_is_looked_at() -> None:
    registry, histogram = _made(LateHistogram)
    series, over = histogram.labels("it"), threading.Event()

    def look() -> None:
        last = 0.0
        while not over.is_set():
            seen = registry.get_sample_value("seconds_count", {"of": "it"}) or 0.0
            assert seen >= last
            last = seen

    with ThreadPoolExecutor(5) as pool:
        looking = pool.submit(look)
        observing = [pool.submit(lambda: [series.observe(0.5) for _ in range(20_000)]) for _ in range(4)]
        for each in observing:
            each.result()
        over.set()
        looking.result()
    assert registry.get_sample_value("seconds_count", {"of": "it"}) == 80_000
    assert registry.get_sample_value("seconds_sum", {"of": "it"}) == 40_000
