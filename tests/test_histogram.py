"""The histogram against prometheus_client's own: the same observations are exposed alike."""

from __future__ import annotations

import itertools
import re
import threading

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from explaind.histogram import Histogram

BUCKETS = [(0.0005, 0.25, 1.0, 120.0), tuple(i / 10 for i in range(-2, 16)), (1, 2, 4, 5000)]
VALUES = (0.0, 0.0005, 0.00051, 0.25, 0.9, 1.0, 1, 3, 120.0, 121.0, 1e9, float("inf"))
WHENS = re.compile(r"(_created\{.*\}|# \{request_id=.*\} \S+) \d\S+")
"""The times at which a series was made, and an exemplar seen."""


def exposed(kind: type, buckets: tuple[float, ...], negative: bool) -> tuple[str, str]:
    """As text and as OpenMetrics."""
    registry = CollectorRegistry()
    histogram = kind("explaind_x_seconds", "Of x.", ("stage", "model"), buckets=buckets, registry=registry)
    histogram.labels("never", "observed")
    values = (-0.1, -7.0, *VALUES) if negative else VALUES
    for value, (stage, exemplar) in itertools.product(values, [("a", None), ('b"\n', {"request_id": "mine"})]):
        histogram.labels(stage, "m").observe(value, exemplar=exemplar)
    return tuple(
        WHENS.sub(r"\1", text.decode()) for text in (prometheus_client.generate_latest(registry), openmetrics(registry))
    )  # type: ignore[return-value]


@pytest.mark.parametrize("buckets", BUCKETS)
@pytest.mark.parametrize("negative", [False, True])
def test_the_same_is_exposed(buckets: tuple[float, ...], negative: bool) -> None:
    ours = exposed(Histogram, buckets, negative)
    assert ours == exposed(prometheus_client.Histogram, buckets, negative)
    assert 'request_id="mine"' in ours[1]


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry()
    Histogram("x", "X.", (), buckets=(1,), registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        prometheus_client.Histogram("x", "X.", registry=registry)


def test_labels_are_counted() -> None:
    histogram = Histogram("x", "X.", ("a",), buckets=(1,), registry=CollectorRegistry())
    with pytest.raises(ValueError, match="labels"):
        histogram.labels("a", "b")


def test_no_observation_of_several_threads_is_lost() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("x", "X.", ("a",), buckets=(1, 2), registry=registry)

    def observe() -> None:
        for _ in range(2000):
            histogram.labels("a").observe(1.5)

    threads = [threading.Thread(target=observe) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.get_sample_value("x_bucket", {"a": "a", "le": "2.0"}) == 8000
    assert registry.get_sample_value("x_sum", {"a": "a"}) == 12000
