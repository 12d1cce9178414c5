"""The control beside the open loops: every call is answered OK, one after another, after its work."""

from __future__ import annotations

from dataclasses import replace

import grpc
import pytest

from tests.benchmarks.open_loop import Load, generate, percentile
from tests.benchmarks.subjects.counting import counted_in, counting

SECONDS = 0.002


@pytest.mark.parametrize("rate", [0.0, 100.0])
def test_every_call_is_answered_after_its_time_and_one_after_another(rate: float) -> None:
    with counting(SECONDS) as address:
        load = Load(address, "01" * 3000, seconds=60, rate=rate, concurrency=4, timeout=60, most=200)
        outcome = generate(load)
        again = generate(replace(load, rate=0.0, concurrency=1))
    assert dict(outcome.ends) == dict(again.ends) == {"OK": 200}
    assert min(outcome.ok) >= 0.5 * SECONDS  # the core may have been slow when it learnt how far it counts
    if not rate:  # four callers wait for one another
        assert percentile(outcome.ok, 50) >= 1.9 * 1e3 * SECONDS


def test_it_counts_further_in_more_time() -> None:
    assert counted_in(4e-3) > 2 * counted_in(1e-3) > 2


def test_grpcs_own_client_is_answered_too() -> None:
    with counting(0.0) as address, grpc.insecure_channel(address) as channel:
        assert channel.unary_unary("/any.Service/Any")(b"\0" * 3000, timeout=20) == b""
