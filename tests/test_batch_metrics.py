"""Sizes counted in pairs, read as two histograms."""

from __future__ import annotations

import threading

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics import exposition, parser
from prometheus_client.parser import text_string_to_metric_families

from explaind.batch_metrics import BatchSizes


def _value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"explaind_batch_{name}", {"model": "a", **labels})


def test_sizes_become_cumulative_histograms() -> None:
    registry = CollectorRegistry()
    observe = BatchSizes(registry).observer("a")
    for calls, rows in ((1, 1), (1, 65), (3, 27), (40, 200)):
        observe(calls, rows)
    assert [_value(registry, "calls_bucket", le=le) for le in ("1.0", "2.0", "3.0", "32.0", "+Inf")] == [2, 2, 3, 3, 4]
    assert [_value(registry, "rows_bucket", le=le) for le in ("1.0", "32.0", "128.0", "+Inf")] == [1, 2, 3, 4]
    assert (_value(registry, "calls_sum"), _value(registry, "calls_count")) == (45, 4)
    assert (_value(registry, "rows_sum"), _value(registry, "rows_count")) == (293, 4)


def test_versions_of_a_model_share_a_series_and_prometheus_can_read_it() -> None:
    registry = CollectorRegistry()
    sizes = BatchSizes(registry)
    for _ in range(2):
        sizes.observer("a")(1, 1)
    sizes.observer("b")
    families = {each.name: each for each in text_string_to_metric_families(generate_latest(registry).decode())}
    assert set(families) == {"explaind_batch_calls", "explaind_batch_rows"}
    assert families["explaind_batch_calls"].type == "histogram"
    counts = {s.labels["model"]: s.value for s in families["explaind_batch_rows"].samples if s.name.endswith("_count")}
    assert counts == {"a": 2, "b": 0}


def test_openmetrics_can_be_read_too() -> None:
    registry = CollectorRegistry()
    BatchSizes(registry).observer("a")(2, 18)
    text = exposition.generate_latest(registry).decode()
    families = {each.name: each for each in parser.text_string_to_metric_families(text)}
    assert families["explaind_batch_rows"].type == "histogram"


def test_no_observation_is_lost_between_threads() -> None:
    registry = CollectorRegistry()
    sizes, start = BatchSizes(registry), threading.Barrier(8)

    def observe_many() -> None:
        observe = sizes.observer("a")
        start.wait(60)
        for _ in range(2000):
            observe(2, 3)

    threads = [threading.Thread(target=observe_many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert _value(registry, "calls_count") == 16_000
    assert _value(registry, "rows_sum") == 48_000
