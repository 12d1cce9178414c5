"""Awkward loads against the real server: full queues, callers that leave, deadlines, and lanes that must not meet."""

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from explaind.v1 import explanation_pb2

pytestmark = pytest.mark.asyncio


def depth(running, name):
    return running.server.metrics.registry.get_sample_value(f"explaind_{name}", {"cost_class": "fast"})


async def test_a_full_queue_refuses_with_retry_info_and_pushback(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=0.3), workers=1, queue_size=1)
    first = asyncio.ensure_future(running.explain())
    await until(lambda: running.engine.running == 1)
    second = asyncio.ensure_future(running.explain())
    await until(lambda: depth(running, "queue_depth") == 1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explain()
    error = caught.value
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert int(dict(error.trailing_metadata())["grpc-retry-pushback-ms"]) >= 50
    answer = rpc_status.from_call(error)  # an aio error answers what a call does
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert answer.details[0].Unpack(info)
    assert answer.details[1].Unpack(retry)
    assert info.reason == "QUEUE_FULL"
    assert retry.retry_delay.ToMilliseconds() >= 50
    await first
    await second
    rejected = running.server.metrics.registry.get_sample_value("explaind_rejected_total", {"reason": "QUEUE_FULL"})
    assert rejected == 1


async def test_no_more_than_the_workers_compute_at_once(start, small_engine):
    running = await start(small_engine(seconds=0.02), workers=2, queue_size=16)
    await asyncio.gather(*(running.explain() for _ in range(8)))
    assert running.engine.most_running == 2
    assert depth(running, "queue_depth") == 0
    assert depth(running, "inflight_requests") == 0


async def test_slow_work_does_not_keep_fast_work_waiting(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=60.0), workers=1, slow_workers=1)
    slow = running.explanations.Explain(request_for(path_mask=explanation_pb2.PathMaskParameters()))
    await until(lambda: running.engine.running == 1)
    running.engine.seconds = 0.0
    answer = await running.explain(timeout=10)
    assert answer.prediction.class_name == "bright"
    slow.cancel()
    await until(lambda: running.engine.running == 0)


async def test_the_reference_solver_keeps_no_fast_one_waiting(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=60.0), slow_workers=1, reference_workers=1)
    mask = explanation_pb2.PathMaskParameters(solver=explanation_pb2.SOLVER_REFERENCE)
    calls = [running.explanations.Explain(request_for(path_mask=mask)) for _ in range(3)]
    await until(lambda: running.engine.running == 1)
    running.engine.seconds = 0.0
    fast = request_for(path_mask=explanation_pb2.PathMaskParameters())
    assert (await running.explanations.Explain(fast, timeout=10)).prediction.class_name == "bright"
    for call in calls:
        call.cancel()
    await until(lambda: running.engine.running == 0)


async def test_a_caller_that_leaves_stops_the_computation(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=60.0))
    call = running.explanations.Explain(request_for())
    await until(lambda: running.engine.running == 1)
    call.cancel()
    await until(lambda: running.engine.running == 0)
    assert running.engine.cancelled == 1
    await until(lambda: depth(running, "inflight_requests") == 0)


async def test_a_deadline_stops_the_computation(start, small_engine, until):
    running = await start(small_engine(seconds=60.0))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explain(timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: running.engine.running == 0)
    assert running.engine.cancelled == 1


async def test_a_caller_that_leaves_the_queue_frees_its_place(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=60.0), workers=1, queue_size=1)
    working = running.explanations.Explain(request_for())
    await until(lambda: running.engine.running == 1)
    waiting = running.explanations.Explain(request_for())
    await until(lambda: depth(running, "queue_depth") == 1)
    waiting.cancel()
    await until(lambda: depth(running, "queue_depth") == 0)
    working.cancel()
    await until(lambda: running.engine.running == 0)
    running.engine.seconds = 0.0
    assert (await running.explain()).prediction.class_name == "bright"
    assert len(running.engine.seen) == 2


async def test_a_deadline_that_passes_in_the_queue_never_computes(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=60.0), workers=1, queue_size=4)
    working = running.explanations.Explain(request_for())
    await until(lambda: running.engine.running == 1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explain(timeout=0.1)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    await until(lambda: depth(running, "queue_depth") == 0)
    working.cancel()
    await until(lambda: running.engine.running == 0)
    assert len(running.engine.seen) == 1
