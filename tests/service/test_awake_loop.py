"""The loop stays awake while calls come one close upon another and nothing longer computes, and else sleeps."""

from __future__ import annotations

import asyncio
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest

from explaind.service.awake_loop import LATEST, AwakeLoop, AwakeSelector
from explaind.service.server import Server
from explaind.settings import Settings
from explaind.v1 import explanation_pb2, explanation_service_pb2_grpc
from tests.benchmarks.subjects.asked import PREDICTION, digits, message
from tests.demo_store import STORE
from tests.served import serving

LONGEST = 0.2
"""Seconds; so long that a machine which stalls for some of them changes nothing."""
CLOSE = LONGEST / 50


class Watched:
    """A selector, one socket it waits for, and what it told."""

    def __init__(self, *, longest: float = LONGEST, allowed: bool = True) -> None:
        self.selector, self.told, self.allowed = AwakeSelector(), 0.0, allowed
        self.selector.stay_awake(longest, lambda: self.allowed, self._tell)
        self.ours, self.theirs = socket.socketpair()
        self.selector.register(self.ours, selectors.EVENT_READ)

    def event(self, after: float) -> None:
        """Comes so many seconds later, and is taken."""
        waker = threading.Timer(after, self.theirs.send, (b"x",))
        waker.start()
        ((key, _),) = self.selector.select()
        assert key.fileobj is self.ours and self.ours.recv(1) == b"x"
        waker.join()

    def events(self, count: int = 3 * LATEST, after: float = CLOSE) -> float:
        """Seconds that were told meanwhile."""
        before = self.told
        for _ in range(count):
            self.event(after)
        return self.told - before

    def close(self) -> None:
        self.selector.close()
        self.ours.close()
        self.theirs.close()

    def _tell(self, seconds: float) -> None:
        self.told += seconds


@contextmanager
def watched(**how: float | bool) -> Iterator[Watched]:
    each = Watched(**how)  # type: ignore[arg-type]
    try:
        yield each
    finally:
        each.close()


def test_it_sleeps_until_events_come_close() -> None:
    with watched() as loop:
        assert loop.events(count=2) == 0
        loop.events()
        assert loop.events() >= LATEST * CLOSE  # of three times as many, all of which it waited for
    with watched() as loop:
        assert loop.events(count=4, after=0.7 * LONGEST) == 0


def test_it_sleeps_where_it_is_not_allowed_or_not_asked_to() -> None:
    for how in ({"allowed": False}, {"longest": 0.0}):
        with watched(**how) as loop:
            assert loop.events() == 0


def test_what_is_there_already_is_not_looked_for() -> None:
    """Of a loop that is busy all the time; such events come close, too."""
    with watched() as loop:
        for _ in range(4 * LATEST):
            loop.theirs.send(b"x")
            ((key, _),) = loop.selector.select()
            assert key.fileobj is loop.ours and loop.ours.recv(1) == b"x"
        assert loop.told == 0
        loop.event(CLOSE)
        assert loop.told > 0


def test_what_is_forbidden_later_ends_at_once() -> None:
    with watched() as loop:
        assert loop.events() > 0
        loop.allowed = False
        assert loop.events(count=4) == 0


def test_it_falls_asleep_when_no_more_come() -> None:
    with watched() as loop:
        loop.events()
        before, cpu = loop.told, time.thread_time()
        for _ in range(2 * LATEST):
            assert loop.selector.select(1.2 * LONGEST) == []
        slept = loop.told
        assert slept - before <= LATEST * LONGEST
        assert time.thread_time() - cpu <= 1.2 * LATEST * LONGEST
        assert loop.selector.select(1.2 * LONGEST) == [] and loop.told == slept


def timed_out(loop: Watched, timeout: float) -> float:
    """Seconds that a loop which looks waited."""
    loop.events()
    began = time.perf_counter()
    assert loop.selector.select(timeout) == []
    return time.perf_counter() - began


def test_a_timeout_is_kept_awake_and_asleep() -> None:
    with watched() as loop:
        for timeout in (0.5 * LONGEST, 1.5 * LONGEST):
            waits = [timed_out(loop, timeout) for _ in range(3)]
            assert min(waits) >= timeout - 0.002  # its parent's are whole milliseconds
            assert min(waits) < timeout + LONGEST / 2  # or what is done while it looks would not count
        for passed in (0, -1):
            before = loop.told
            assert loop.selector.select(passed) == [] and loop.told == before


def test_timers_and_other_threads_are_heard_by_a_loop_that_looks() -> None:
    told: list[float] = []

    async def close_upon_another() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, AwakeLoop)
        loop.stay_awake(LONGEST, lambda: True, told.append)
        for _ in range(3 * LATEST):
            await asyncio.sleep(CLOSE)
            await asyncio.to_thread(time.sleep, CLOSE)
        began = time.perf_counter()
        await asyncio.sleep(LONGEST / 2)
        return time.perf_counter() - began

    with asyncio.Runner(loop_factory=AwakeLoop) as runner:
        assert runner.run(close_upon_another()) >= LONGEST / 2 - 0.002
    assert sum(told) > 0


@contextmanager
def awake_server(**settings: object) -> Iterator[tuple[Server, explanation_service_pb2_grpc.ExplanationServiceStub]]:
    given = {"port": 0, "metrics_port": 0, "model_store": STORE, "awake_seconds": LONGEST} | settings
    with (
        serving(Settings.model_validate(given), AwakeLoop()) as server,
        grpc.insecure_channel(server.address) as channel,
    ):
        yield server, explanation_service_pb2_grpc.ExplanationServiceStub(channel)


def predictions(
    server: Server, stub: explanation_service_pb2_grpc.ExplanationServiceStub, count: int = 6 * LATEST
) -> float:
    """One soon after another, so that the loop waits for it; seconds that it looked meanwhile."""
    request = message(PREDICTION, digits(1)[0])
    before = awake(server)
    for _ in range(count):
        time.sleep(CLOSE / 4)
        assert stub.Explain(request, timeout=60).prediction.class_name
    return awake(server) - before


def awake(server: Server) -> float:
    told = server.metrics.registry.get_sample_value("explaind_event_loop_awake_seconds_total")
    assert told is not None
    return told


def test_a_server_looks_for_predictions_but_not_beside_longer_work() -> None:
    with awake_server() as (server, stub):
        assert predictions(server, stub) > 0
        longer = message(PREDICTION, digits(1)[0])
        longer.path_mask.solver = explanation_pb2.SOLVER_REFERENCE
        call = stub.Explain.future(longer, timeout=600)
        while not server.metrics.registry.get_sample_value(
            "explaind_inflight_requests", {"cost_class": "reference"}
        ):  # its arrival may have been looked for
            assert not call.done()
            time.sleep(0.01)
        assert predictions(server, stub) == 0
        call.cancel()


@pytest.mark.parametrize("how", [{"awake_seconds": 0.0}, {"transport": "grpcio"}], ids=["told so", "grpcio"])
def test_a_server_that_is_to_sleep_sleeps(how: dict[str, object]) -> None:
    with awake_server(**how) as (server, stub):
        predictions(server, stub)
        assert awake(server) == 0
