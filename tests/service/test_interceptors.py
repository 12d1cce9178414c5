"""started − handled = in flight, every code once, whatever end an RPC comes to."""

import asyncio
import urllib.request

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from explaind.service import interceptors
from explaind.v1 import explanation_service_pb2

pytestmark = pytest.mark.asyncio

SERVICE = "explaind.v1.ExplanationService"
UNARY = {"grpc_type": "unary", "grpc_service": SERVICE, "grpc_method": "Explain"}
STREAM = {"grpc_type": "bidi_stream", "grpc_service": SERVICE, "grpc_method": "StreamExplain"}


def value(running, name, labels):
    return running.server.metrics.registry.get_sample_value(name, labels)


def handled(running, labels=UNARY):
    """Codes with their counts, those at 0 left out."""
    counts = {
        c.name: value(running, "grpc_server_handled_total", labels | {"grpc_code": c.name}) for c in grpc.StatusCode
    }
    return {name: count for name, count in counts.items() if count}


def in_flight(running, labels=UNARY):
    return value(running, "grpc_server_started_total", labels) - sum(handled(running, labels).values())


def series(running):
    return {
        tuple(sorted(sample.labels.items()))
        for family in running.server.metrics.registry.collect()
        for sample in family.samples
        if family.name.startswith("grpc_server")
    }


async def test_all_codes_of_all_methods_are_there_before_the_first_call(start):
    running = await start()
    for labels in (UNARY, STREAM):
        for code in grpc.StatusCode:
            assert value(running, "grpc_server_handled_total", labels | {"grpc_code": code.name}) == 0


async def test_every_end_is_counted_once(start, small_engine, request_for, until):
    running = await start(small_engine())
    await running.explain()
    for bad in ({"model": "other"}, {"top_classes": -1}):
        with pytest.raises(grpc.aio.AioRpcError):
            await running.explain(**bad)
    running.engine.failure = ZeroDivisionError("bug")
    with pytest.raises(grpc.aio.AioRpcError):
        await running.explain()
    running.engine.failure, running.engine.seconds = None, 60.0
    with pytest.raises(grpc.aio.AioRpcError):
        await running.explain(timeout=0.5)
    await until(lambda: in_flight(running) == 0)  # the caller knows of its deadline before the server does
    call = running.explanations.Explain(request_for(), timeout=60)
    await until(lambda: in_flight(running) == 1)
    call.cancel()
    await until(lambda: in_flight(running) == 0)
    assert handled(running) == {
        "OK": 1, "NOT_FOUND": 1, "INVALID_ARGUMENT": 1, "INTERNAL": 1, "DEADLINE_EXCEEDED": 1, "CANCELLED": 1,
    }  # fmt: skip
    assert value(running, "grpc_server_handling_seconds_count", UNARY | {"grpc_code": "CANCELLED"}) == 1


async def test_streams_are_counted_by_their_end(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=60.0))
    item = explanation_service_pb2.StreamExplainRequest(item_id="1", request=request_for())
    call = running.explanations.StreamExplain(iter([item]))
    await until(lambda: running.engine.running == 1)
    assert in_flight(running, STREAM) == 1
    call.cancel()
    await until(lambda: in_flight(running, STREAM) == 0)
    running.engine.seconds = 0.0
    assert [a.item_id async for a in running.explanations.StreamExplain(iter([item]))] == ["1"]
    await until(lambda: in_flight(running, STREAM) == 0)
    assert handled(running, STREAM) == {"CANCELLED": 1, "OK": 1}


async def test_a_watch_that_ends_is_counted(start, until):
    running = await start()
    watch = {"grpc_type": "server_stream", "grpc_service": "grpc.health.v1.Health", "grpc_method": "Watch"}
    call = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest())
    assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVING
    call.cancel()
    await until(lambda: handled(running, watch) == {"CANCELLED": 1})


async def test_made_up_names_make_no_series(start, until):
    running = await start()
    await running.explain()
    with pytest.raises(grpc.aio.AioRpcError):
        await running.explain(model="other")
    last = {("grpc_code", "NOT_FOUND"), ("le", "+Inf")}  # of a call's end: the histogram comes after the counter
    await until(lambda: any(last <= set(labels) for labels in series(running)))
    before = series(running)
    for name in range(20):
        method = running.channel.unary_unary(f"/{SERVICE}/MadeUp{name}")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await method(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.aio.AioRpcError):
            await running.explain(model=f"other{name}")
    assert series(running) == before


async def test_garbage_instead_of_a_message_harms_nobody(start, until):
    running = await start()
    method = running.channel.unary_unary(f"/{SERVICE}/Explain")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await method(b"\xff\xff\xff not a message")
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    stream = running.channel.stream_stream(f"/{SERVICE}/StreamExplain")(iter([b"\xff\xff\xff"]))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stream.read()
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (await running.explain()).prediction.class_name == "bright"
    await until(lambda: in_flight(running) == 0)
    await until(lambda: running.server.active_calls == 0)


async def test_the_request_id_is_the_exemplar(start, request_for):
    running = await start()
    await running.explanations.Explain(request_for(), metadata=(("x-request-id", "mine-3"),))
    long = "x" * 128  # more than an exemplar may hold: served without one
    await running.explanations.Explain(request_for(), metadata=(("x-request-id", long),))
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    url = f"http://127.0.0.1:{running.server.metrics_port}/metrics"
    answer = await asyncio.to_thread(fetch, urllib.request.Request(url, headers=accept))
    assert '{request_id="mine-3"}' in answer
    assert "# EOF" in answer
    assert "request_id" not in await asyncio.to_thread(fetch, urllib.request.Request(url))


def fetch(request):
    with urllib.request.urlopen(request) as response:
        return response.read().decode()


async def test_a_bug_answers_internal_and_says_where_to_look(start, small_engine, caplog):
    running = await start(small_engine(failure=ZeroDivisionError("secret")))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explain()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in str(caught.value)
    assert "request id" in caught.value.details()
    running.engine.failure = None
    assert (await running.explain()).prediction.class_name == "bright"


class Remaining:
    """A context of which only the time that remains is asked."""

    def __init__(self, seconds):
        self.time_remaining = lambda: seconds


@pytest.mark.parametrize(
    ("remaining", "time_out", "code"),
    [
        (None, None, "CANCELLED"),
        (0.0, 0.3, "DEADLINE_EXCEEDED"),
        (0.015, 0.3, "DEADLINE_EXCEEDED"),
        (0.2, 0.3, "CANCELLED"),
        (1.0, 60.0, "DEADLINE_EXCEEDED"),
        (30.0, 60.0, "CANCELLED"),
    ],
)
async def test_a_cancellation_near_the_deadline_is_the_deadline(remaining, time_out, code):
    assert interceptors.cancellation_code(Remaining(remaining), time_out).name == code
