"""The load generator against the real daemon: every good call is answered, every broken one told why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest

from explaind.service.server import Server
from explaind.settings import Settings
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.open_loop import Load, Messages, Outcome, generate, together
from tests.benchmarks.parts.open_load import (
    Control,
    Turn,
    broken_messages,
    one_overload,
    one_turn,
    p99_over_without,
    undisturbed,
)
from tests.benchmarks.subjects.asked import BOTH, PREDICTION, digits, message
from tests.benchmarks.subjects.counting import counting
from tests.demo_store import STORE
from tests.served import serving, until_serving

REFUSALS = {
    "INVALID_ARGUMENT IMAGE_UNDECODABLE",
    "INVALID_ARGUMENT SHAPE_MISMATCH",
    "NOT_FOUND MODEL_NOT_FOUND",
    "INVALID_ARGUMENT PARAMETER_OUT_OF_RANGE",
    "INVALID_ARGUMENT PIXEL_OUT_OF_RANGE",
    "INVALID_ARGUMENT INVALID_REQUEST",
}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = Settings(port=0, metrics_port=0, model_store=STORE, queue_size=1000, queue_seconds=120)
    with serving(settings) as server:
        until_serving(server)
        yield server


def requests(*names: str) -> list[str]:
    image = digits(1)[0]
    return [message(name, image).SerializeToString().hex() for name in names]


@pytest.mark.parametrize("rate", [0.0, 200.0])
def test_a_tenth_broken_loses_no_good_one(server: Server, rate: float) -> None:
    good = requests(PREDICTION, BOTH)
    load = Load(
        server.address,
        good[0],
        seconds=60,
        rate=rate,
        concurrency=8,
        timeout=60,
        most=300,
        also=tuple(good[1:]),
        broken=broken_messages(),
        broken_every=10,
    )
    outcome = generate(load)
    assert dict(outcome.ends) == {"OK": 270}
    assert set(outcome.broken_ends) == REFUSALS and sum(outcome.broken_ends.values()) == 30


@pytest.mark.parametrize("rate", [0.0, 200.0])
def test_of_a_lead_in_only_what_fails_counts(server: Server, rate: float) -> None:
    good = Load(server.address, requests(PREDICTION)[0], seconds=0.5, rate=rate, lead_in=0.5, timeout=60, most=100)
    outcome = generate(good)
    assert dict(outcome.ends) == {"OK": 100} and len(outcome.ok) == len(outcome.late) == 100
    assert 0.2 < outcome.seconds <= 0.5 or not rate
    failing = generate(replace(good, request=broken_messages()[2], broken=(good.request,), broken_every=10))
    leading = 200 * 0.5 if rate else 0
    assert dict(failing.ends) == {"NOT_FOUND MODEL_NOT_FOUND": 0.9 * (100 + leading)}
    assert dict(failing.broken_ends) == {"OK": 10} and len(failing.late) == 100


def test_each_load_of_a_turn_is_what_it_is_called() -> None:
    with Daemon.running(model_store=STORE) as daemon, counting(0.001) as address:
        found = one_turn(daemon, PREDICTION, 0.4, callers=4, control=Control(address))
        flooded = one_overload(daemon, PREDICTION, 0.3, callers=4)

    def asked(outcome: Outcome) -> tuple[int, int]:
        return sum(outcome.ends.values()), sum(outcome.broken_ends.values())

    for comfortable, spoilt, added in zip(found.comfortable, found.broken, found.added, strict=True):
        calls, none = asked(comfortable)
        assert none == 0
        assert calls == pytest.approx(0.7 * found.peak.goodput * comfortable.seconds, rel=0.1)
        assert asked(spoilt) == pytest.approx((0.9 * calls, 0.1 * calls), abs=4)
        assert asked(added) == pytest.approx((calls, calls / 9), abs=4)
    assert found.control is not None
    peak, calm = found.control
    assert asked(calm) == (pytest.approx(0.7 * peak.goodput * calm.seconds, rel=0.1), 0)
    assert set(peak.ends) == set(calm.ends) == {"OK"}
    over, beside = flooded.over, flooded.beside
    assert sum(over.ends.values()) + over.unsent > 1.5 * beside.goodput * over.seconds
    assert set(found.peak.ends) == set(beside.ends) == {"OK"}
    assert flooded.health and flooded.health_failures == 0
    for each in (found.peak, *found.comfortable, over):
        assert 0 <= each.host_took < 1
        assert each.core_seconds >= 0.9 * each.seconds  # at least one core, in hundredths of a second


def test_messages_come_in_turn() -> None:
    load = Load("", "01", seconds=1, also=("02",), broken=("ff",), broken_every=3)
    messages = Messages(load)
    sent = [messages.next(0.0) for _ in range(6)]
    assert [each.good for each in sent] == [True, True, False] * 2
    assert {each.message for each in sent if each.good} == {b"\x01", b"\x02"}


def turn(calm: float, spoilt: float) -> Turn:
    """Of a hundred calls that take `calm` seconds, one in fifty `spoilt` times as long where broken ones are among
    them, and twice as long where not."""
    without, among = ([calm] * 98 + [calm * tail] * 2 for tail in (2.0, spoilt))
    none = Outcome(seconds=1.0)
    calm_loads, broken, added = ((replace(none, on_time=each),) * 2 for each in (without, among, []))
    return Turn(none, calm_loads, broken, added)


def among_broken(turns: Sequence[Turn]) -> float:
    return p99_over_without(turns, lambda turn: turn.broken)


def test_a_slow_turn_is_no_tail() -> None:
    """A machine that is ten times as slow in one turn is as slow without the broken calls."""
    assert among_broken([turn(0.01, 2.0), turn(0.1, 2.0)]) == pytest.approx(1.0)
    assert among_broken([turn(0.01, 3.0), turn(0.1, 3.0)]) == pytest.approx(1.5)


def test_a_stall_of_the_machine_in_one_turn_decides_nothing() -> None:
    stalled = turn(0.01, 40.0)
    assert among_broken([turn(0.01, 2.0), stalled, turn(0.01, 2.0)]) == pytest.approx(1.0)
    assert among_broken([turn(0.01, 3.0), stalled, turn(0.01, 3.0)]) == pytest.approx(1.5)


def test_what_the_host_disturbed_is_told_apart() -> None:
    """A pair counts where the host left both of its loads alone."""
    calm, stalled = turn(0.01, 2.0), turn(0.01, 40.0)
    disturbed = Outcome(seconds=1.0, core_seconds=2.0, stolen_seconds=0.1, on_time=stalled.broken[0].on_time)
    assert undisturbed(calm.broken[0]) and not undisturbed(disturbed)
    assert not undisturbed(together([calm.broken[0], disturbed]))
    half = replace(stalled, broken=(disturbed, calm.broken[1]))
    assert p99_over_without([half], lambda each: each.broken) == pytest.approx((20 + 1) / 2)
    assert p99_over_without([half], lambda each: each.broken, undisturbed) == pytest.approx(1.0)
    assert np.isnan(
        p99_over_without([replace(stalled, broken=(disturbed,) * 2)], lambda each: each.broken, undisturbed)
    )


def test_outcomes_of_two_loads_are_those_of_one() -> None:
    first = Outcome(ends=Counter(OK=2), in_time=1, ok=[0.1, 0.2], seconds=2.0)
    second = Outcome(ends=Counter(OK=1, UNAVAILABLE=1), in_time=1, ok=[0.3], refused=[0.4], seconds=1.0)
    whole = together((first, second))
    assert dict(whole.ends) == {"OK": 3, "UNAVAILABLE": 1}
    assert (whole.ok, whole.refused, whole.goodput) == ([0.1, 0.2, 0.3], [0.4], pytest.approx(2 / 3))
