"""The load generator against the real daemon: every good call is answered, every broken one told why."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from explaind.service.server import Server
from explaind.settings import Settings
from tests.benchmarks.open_loop import Load, Messages, generate
from tests.benchmarks.parts.open_load import broken_messages
from tests.benchmarks.subjects.asked import BOTH, PREDICTION, digits, message
from tests.demo_store import STORE
from tests.served import serving

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
        end = time.monotonic() + 60
        while not server.serving:
            assert time.monotonic() < end, "it never served"
            time.sleep(0.02)
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


def test_messages_come_in_turn() -> None:
    load = Load("", "01", seconds=1, also=("02",), broken=("ff",), broken_every=3)
    messages = Messages(load)
    sent = [messages.next(0.0) for _ in range(6)]
    assert [each.good for each in sent] == [True, True, False] * 2
    assert {each.message for each in sent if each.good} == {b"\x01", b"\x02"}
