"""Short work is answered on the event loop, where nobody else would have to wait for it; all other work in a thread."""

from __future__ import annotations

import asyncio
import threading

import grpc
import pytest

from explaind.errors import BackendUnavailable
from explaind.service.brief_work import BRIEF_ENCODED_BYTES, BRIEF_SECONDS, BRIEF_TENSOR_BYTES
from explaind.v1 import explanation_pb2, explanation_service_pb2

pytestmark = pytest.mark.asyncio

BRIEF = BRIEF_SECONDS / 2


def on_the_loop(running) -> list[bool]:
    """Of each explanation so far; the server runs in the test's own loop."""
    return [thread is threading.current_thread() for thread in running.engine.threads]


def value(running, name, **labels):
    return running.server.metrics.registry.get_sample_value(f"explaind_{name}", labels or {"cost_class": "fast"})


async def test_what_takes_long_or_is_not_known_goes_to_a_thread(start, small_engine):
    for usual in (float("inf"), 2 * BRIEF_SECONDS):
        running = await start(small_engine(usual=usual))
        await running.explain()
        assert on_the_loop(running) == [False]
        assert running.engine.checked == [False]  # it may have waited since the check


async def test_an_image_of_any_size_is_not_decoded_on_the_loop(start, small_engine, request_for):
    running = await start(small_engine(usual=BRIEF))
    resized = request_for()
    resized.image.resize = True
    await running.explanations.Explain(resized)
    tensor = explanation_pb2.Tensor(shape=(1, 1, BRIEF_TENSOR_BYTES + 1), dtype=explanation_pb2.DATA_TYPE_UINT8)
    tensor.values = bytes(BRIEF_TENSOR_BYTES + 1)
    for large in (explanation_pb2.Image(encoded=bytes(BRIEF_ENCODED_BYTES + 1)), explanation_pb2.Image(tensor=tensor)):
        with pytest.raises(grpc.aio.AioRpcError):
            await running.explanations.Explain(request_for(image=large))
    assert on_the_loop(running) == [False] * 3


async def test_a_small_file_is(start, small_engine, request_for):
    running = await start(small_engine(usual=BRIEF))
    with pytest.raises(grpc.aio.AioRpcError):
        await running.explanations.Explain(request_for(image=explanation_pb2.Image(encoded=bytes(10))))
    assert on_the_loop(running) == [True]


async def test_the_slow_class_never_computes_on_the_loop(start, small_engine, request_for):
    running = await start(small_engine(usual=0.0))
    await running.explanations.Explain(request_for(path_mask=explanation_pb2.PathMaskParameters()))
    assert on_the_loop(running) == [False]


async def test_one_at_a_time_is_answered_on_the_loop(start, small_engine):
    running = await start(small_engine(usual=BRIEF))
    for _ in range(3):
        assert (await running.explain()).prediction.class_name == "bright"
    assert on_the_loop(running) == [True] * 3
    assert running.engine.checked == [True] * 3
    assert value(running, "inflight_requests") == 0
    assert value(running, "queue_wait_seconds_count") == 3
    assert value(running, "queue_wait_seconds_sum") == 0


async def test_nothing_computes_on_the_loop_beside_other_work(start, small_engine, request_for, until):
    engine = small_engine(usual=BRIEF)
    gate = engine.hold_slow()
    running = await start(engine, slow_workers=1)
    slow = asyncio.ensure_future(
        running.explanations.Explain(request_for(path_mask=explanation_pb2.PathMaskParameters()))
    )
    await until(lambda: engine.running == 1)
    await running.explain()
    gate.set()
    await slow
    await running.explain()
    assert on_the_loop(running) == [False, False, True]


async def test_nor_while_another_request_waits(start, small_engine, until):
    running = await start(small_engine(seconds=0.3), workers=1, queue_size=8)
    first = asyncio.ensure_future(running.explain())
    await until(lambda: running.engine.running == 1)
    running.engine.usual = BRIEF
    second = asyncio.ensure_future(running.explain())
    await until(lambda: value(running, "queue_depth") == 1)
    third = asyncio.ensure_future(running.explain())
    await asyncio.gather(first, second, third)
    assert on_the_loop(running) == [False] * 3


async def test_brief_work_in_a_thread_keeps_none_from_the_loop(start, small_engine, until):
    """Or threads, which do less a second, would keep all of a load that the loop bears, once a stall gave it them."""
    running = await start(small_engine(seconds=0.3), workers=1, queue_size=8)
    longer = asyncio.ensure_future(running.explain())
    await until(lambda: running.engine.running == 1)
    running.engine.usual = BRIEF
    waits = asyncio.ensure_future(running.explain())
    await until(lambda: value(running, "queue_depth") == 1)
    await longer
    await until(lambda: running.engine.running == 1)
    running.engine.seconds = 0.0
    await running.explain()
    assert not waits.done()
    await waits
    assert on_the_loop(running) == [False, False, True]


async def test_a_failure_there_is_answered_and_harms_nobody(start, small_engine):
    running = await start(small_engine(usual=BRIEF, failure=BackendUnavailable("gone", retry_after=1.0)))
    for _ in range(2):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await running.explain()
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    running.engine.failure = None
    assert (await running.explain()).prediction.class_name == "bright"
    assert on_the_loop(running) == [True] * 3
    assert value(running, "inflight_requests") == 0


async def test_items_of_a_stream_go_to_a_thread(start, small_engine, request_for):
    running = await start(small_engine(usual=BRIEF))

    async def items():
        yield explanation_service_pb2.StreamExplainRequest(item_id="1", request=request_for())

    answers = [answer async for answer in running.explanations.StreamExplain(items())]
    assert [answer.HasField("response") for answer in answers] == [True]
    assert on_the_loop(running) == [False]


async def test_the_request_is_known_to_its_model_calls(start, small_engine, request_for):
    running = await start(small_engine(usual=BRIEF))
    await running.explanations.Explain(request_for(), metadata=(("x-request-id", "mine-1"),), timeout=5)
    ((context, budget),) = running.engine.asked_for
    assert context.request_id == "mine-1"
    assert context.budget is budget
    assert 0 < budget.remaining() <= 5
