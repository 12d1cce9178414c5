"""More calls than can be served: each is answered or refused with its reason, and afterwards all is as before."""

import asyncio
import sys
from collections import Counter

import grpc
import pytest
import structlog
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from explaind.v1 import explanation_pb2, explanation_service_pb2

pytestmark = pytest.mark.asyncio

EXPLAIN = {
    "grpc_type": "unary",
    "grpc_service": "explaind.v1.ExplanationService",
    "grpc_method": "Explain",
}


def value(running, name, labels):
    return running.server.metrics.registry.get_sample_value(name, labels) or 0.0


def lane(running, name, cost_class="fast"):
    return value(running, f"explaind_{name}", {"cost_class": cost_class})


def handled(running):
    codes = (code.name for code in grpc.StatusCode)
    counts = {code: value(running, "grpc_server_handled_total", EXPLAIN | {"grpc_code": code}) for code in codes}
    return {code: count for code, count in counts.items() if count}


def started(running):
    return value(running, "grpc_server_started_total", EXPLAIN)


async def outcome(call):
    """OK, or code and reason; a refusal must say when to come again."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        for detail in getattr(rpc_status.from_call(error), "details", ()):
            detail.Unpack(info)
            detail.Unpack(retry)
        if info.reason == "QUEUE_FULL":
            assert retry.retry_delay.ToMilliseconds() >= 50
            assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) >= 50
            assert dict(error.trailing_metadata())["x-request-id"]
        return f"{error.code().name} {info.reason}".strip()
    return "OK"


async def filled(running, request_for, until, *, waiting):
    """One call in work and `waiting` in the queue of the fast class, for as long as the caller likes."""
    running.engine.seconds = 60.0
    calls = [running.explanations.Explain(request_for())]
    await until(lambda: running.engine.running == 1)
    calls += [running.explanations.Explain(request_for()) for _ in range(waiting)]
    await until(lambda: lane(running, "queue_depth") == waiting)
    return calls


async def emptied(running, calls, until):
    for call in calls:
        call.cancel()
    await until(lambda: running.engine.running == 0 and lane(running, "inflight_requests") == 0)
    running.engine.seconds = 0.0


async def test_what_can_be_refused_unseen_waits_for_no_worker(start, small_engine, request_for, until):
    running = await start(small_engine(), workers=1)
    calls = await filled(running, request_for, until, waiting=2)
    assert await outcome(running.explain(model="other", timeout=30)) == "NOT_FOUND MODEL_NOT_FOUND"
    assert lane(running, "queue_depth") == 2
    await emptied(running, calls, until)


async def test_a_flood_is_answered_or_refused_typed_and_leaves_nothing_behind(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=0.005), workers=1, queue_size=8)
    calls = [running.explanations.Explain(request_for(), timeout=60) for _ in range(4000)]
    ends = Counter(await asyncio.gather(*map(outcome, calls)))
    assert set(ends) == {"OK", "RESOURCE_EXHAUSTED QUEUE_FULL"}
    await until(lambda: sum(handled(running).values()) == 4000)
    assert started(running) == 4000
    assert handled(running) == {"OK": ends["OK"], "RESOURCE_EXHAUSTED": ends["RESOURCE_EXHAUSTED QUEUE_FULL"]}
    refused = value(running, "explaind_rejected_total", {"reason": "QUEUE_FULL"})
    assert refused == ends["RESOURCE_EXHAUSTED QUEUE_FULL"]
    await until(lambda: running.server.active_calls == 0)
    assert lane(running, "queue_depth") == lane(running, "inflight_requests") == 0
    assert (await running.explain()).prediction.class_name == "bright"


async def test_started_less_handled_is_in_flight_whatever_the_ends(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=0.01), workers=2, queue_size=16)
    kinds = [
        {},
        {"request": {"model": "other"}},
        {"request": {"top_classes": -1}},
        {"timeout": 0.02},
        {"cancelled": True},
    ]
    calls = []
    for number in range(300):
        kind = kinds[number % len(kinds)]
        call = running.explanations.Explain(request_for(**kind.get("request", {})), timeout=kind.get("timeout", 60))
        calls.append(call)
        if kind.get("cancelled"):
            await asyncio.sleep(0.002)
            call.cancel()
    ends = await asyncio.gather(*map(outcome, calls), return_exceptions=True)
    assert {end for end in ends if isinstance(end, str)} <= {
        "OK",
        "NOT_FOUND MODEL_NOT_FOUND",
        "INVALID_ARGUMENT PARAMETER_OUT_OF_RANGE",
        "RESOURCE_EXHAUSTED QUEUE_FULL",
        "DEADLINE_EXCEEDED",
        "DEADLINE_EXCEEDED DEADLINE_TOO_SHORT",
    }
    assert all(isinstance(end, str | asyncio.CancelledError) for end in ends)
    await until(lambda: running.server.active_calls == 0 and started(running) == sum(handled(running).values()))
    await until(lambda: lane(running, "queue_depth") == lane(running, "inflight_requests") == 0)
    assert (await running.explain()).prediction.class_name == "bright"


async def test_a_full_queue_refuses_before_it_looks_at_the_image(start, request_for, until, image_of):
    running = await start(workers=1, queue_size=1)
    calls = await filled(running, request_for, until, waiting=1)
    broken = image_of(0.5)
    broken.tensor.shape[0] = 99
    assert await outcome(running.explain(image=broken)) == "RESOURCE_EXHAUSTED QUEUE_FULL"
    mask = explanation_pb2.PathMaskParameters()  # of the class that has room
    assert await outcome(running.explain(image=broken, path_mask=mask)) == "INVALID_ARGUMENT SHAPE_MISMATCH"
    garbage = running.channel.unary_unary(f"/{EXPLAIN['grpc_service']}/Explain")
    assert await outcome(garbage(b"\xff\xff\xff not a message")) == "INVALID_ARGUMENT INVALID_REQUEST"
    await emptied(running, calls, until)
    assert await outcome(running.explain(image=broken)) == "INVALID_ARGUMENT SHAPE_MISMATCH"


async def test_every_unary_explanation_is_refused_when_its_class_is_full(start, request_for, until, image_of):
    running = await start(workers=1, queue_size=1)
    calls = await filled(running, request_for, until, waiting=1)
    tensor = explanation_pb2.Tensor(
        shape=(1, 1, 4, 4), dtype=explanation_pb2.DATA_TYPE_FLOAT32, values=image_of(0.5).tensor.values
    )
    batch = explanation_service_pb2.ScoreAnomaliesRequest(model="small", batch=tensor)
    assert await outcome(running.explanations.ScoreAnomalies(batch)) == "RESOURCE_EXHAUSTED QUEUE_FULL"
    compare = explanation_service_pb2.CompareLatentsRequest(model="small")
    assert await outcome(running.explanations.CompareLatents(compare)) == "RESOURCE_EXHAUSTED QUEUE_FULL"
    traverse = explanation_service_pb2.TraverseLatentsRequest(model="small")
    assert await outcome(running.explanations.TraverseLatents(traverse)) == "RESOURCE_EXHAUSTED QUEUE_FULL"
    assert running.server.serving
    await emptied(running, calls, until)


async def test_a_refusal_keeps_the_callers_request_id(start, request_for, until):
    running = await start(workers=1, queue_size=1)
    calls = await filled(running, request_for, until, waiting=1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explanations.Explain(request_for(), metadata=(("x-request-id", "mine-4"),))
    assert dict(caught.value.trailing_metadata())["x-request-id"] == "mine-4"
    await emptied(running, calls, until)


async def test_a_queue_is_as_long_as_can_be_worked_off_in_time(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=0.2), workers=1, queue_size=64, queue_seconds=0.1)
    await running.explain()  # from which the server knows that an explanation takes 0.2 s
    calls = await filled(running, request_for, until, waiting=4)
    assert await outcome(running.explain()) == "RESOURCE_EXHAUSTED QUEUE_FULL"
    await emptied(running, calls, until)


async def test_streams_push_no_single_call_out_of_the_queue(start, small_engine, request_for, until):
    """However many items they hold, which wait outside of it."""

    class Counting(type(small_engine())):
        checks = 0

        def check(self, request, budget):
            self.checks += 1

    running = await start(Counting(seconds=0.2), workers=1, queue_size=64, queue_seconds=0.1, stream_window=16)
    await running.explain()
    running.engine.seconds = 60.0
    items = [
        explanation_service_pb2.StreamExplainRequest(item_id=str(number), request=request_for()) for number in range(16)
    ]
    stream = running.explanations.StreamExplain(iter(items))
    await until(lambda: running.engine.checks == 1 + len(items) and running.engine.running == 1)
    assert lane(running, "queue_depth") == 1
    single = running.explanations.Explain(request_for(), timeout=60)
    await until(lambda: single.done() or lane(running, "queue_depth") == 2)
    assert not single.done(), await outcome(single)
    await emptied(running, [stream, single], until)


async def test_a_call_that_would_wait_past_its_deadline_is_refused_at_once(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=0.5), workers=1, queue_size=64, queue_seconds=100.0)
    await running.explain()
    calls = await filled(running, request_for, until, waiting=4)
    assert await outcome(running.explain(timeout=2.0)) == "RESOURCE_EXHAUSTED QUEUE_FULL"
    patient = running.explanations.Explain(request_for(), timeout=60)
    await until(lambda: lane(running, "queue_depth") == 5)
    await emptied(running, [*calls, patient], until)


@pytest.fixture
def loggers_as_new():
    """Commands and clients tested earlier in this process may have silenced the log, and a used logger stays so."""
    configuration = structlog.get_config()
    structlog.reset_defaults()
    _forget_cached_loggers()
    yield
    structlog.configure(**configuration)
    _forget_cached_loggers()


def _forget_cached_loggers():
    for name, module in list(sys.modules.items()):
        if name.startswith("explaind"):
            getattr(getattr(module, "log", None), "__dict__", {}).pop("bind", None)


async def test_the_log_tells_of_refusals_now_and_then(start, request_for, until, capsys, loggers_as_new):
    running = await start(workers=1, queue_size=1)
    calls = await filled(running, request_for, until, waiting=1)
    for _ in range(50):
        assert await outcome(running.explain()) == "RESOURCE_EXHAUSTED QUEUE_FULL"
    await emptied(running, calls, until)
    told = capsys.readouterr()
    lines = [line for line in (told.out + told.err).splitlines() if "queue full" in line]
    assert 1 <= len(lines) < 50
