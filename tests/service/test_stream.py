import asyncio

import grpc
import pytest

from explaind.service import grpcio_server, server
from explaind.v1 import explanation_pb2, explanation_service_pb2

pytestmark = pytest.mark.asyncio


@pytest.fixture
def items(request_for):
    def make(*values):
        return [
            explanation_service_pb2.StreamExplainRequest(item_id=str(index), request=request_for(value))
            for index, value in enumerate(values)
        ]

    return make


async def collect(call):
    return {answer.item_id: answer async for answer in call}


async def test_every_item_is_answered_once(start, items):
    running = await start(stream_window=4)
    answers = await collect(running.explanations.StreamExplain(iter(items(*[0.1, 0.9] * 20))))
    assert sorted(map(int, answers)) == list(range(40))
    assert {a.response.prediction.class_name for k, a in answers.items() if int(k) % 2} == {"bright"}


async def test_a_bad_item_leaves_the_others_unharmed(start, items):
    running = await start()
    sent = items(0.1, 0.9, 0.9, 0.9)
    sent[1].request.model = "other"
    sent[2].request.image.tensor.shape[:] = [1 << 62, 1 << 62, 4]
    sent.append(explanation_service_pb2.StreamExplainRequest(item_id="empty"))
    answers = await collect(running.explanations.StreamExplain(iter(sent)))
    assert answers["0"].response.prediction.class_name == "dark"
    assert answers["3"].response.prediction.class_name == "bright"
    assert answers["1"].error.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert answers["2"].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert answers["empty"].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]


async def test_a_bug_in_one_item_leaves_the_stream_alive(start, small_engine, items):
    running = await start(small_engine(failure=ZeroDivisionError("secret")))
    answers = await collect(running.explanations.StreamExplain(iter(items(0.1, 0.9))))
    assert {a.error.code for a in answers.values()} == {grpc.StatusCode.INTERNAL.value[0]}
    assert "secret" not in str(answers)


async def test_an_empty_stream_ends_well(start):
    running = await start()
    assert await collect(running.explanations.StreamExplain(iter([]))) == {}


async def test_more_items_than_queue_and_workers_wait_instead_of_failing(start, small_engine, items):
    running = await start(small_engine(seconds=0.005), workers=1, queue_size=1, stream_window=8)
    streams = [collect(running.explanations.StreamExplain(iter(items(*[0.9] * 10)))) for _ in range(3)]
    for answers in await asyncio.gather(*streams):
        assert [a.WhichOneof("result") for a in answers.values()] == ["response"] * 10


async def test_a_caller_that_does_not_read_is_not_read_from(start, items, until):
    """The answers (8 MB each way are more than HTTP/2's windows) stay at the server, so the window holds the rest."""
    running = await start(stream_window=2)
    big = explanation_pb2.Image(
        tensor=explanation_pb2.Tensor(shape=(1, 1, 1), dtype=explanation_pb2.DATA_TYPE_UINT8, values=b"\x00")
    )
    sent = 0

    async def endless():
        nonlocal sent
        while sent < 4000:
            sent += 1
            yield explanation_service_pb2.StreamExplainRequest(
                item_id="x" * 100_000, request=explanation_service_pb2.ExplainRequest(model="small", image=big)
            )

    call = running.explanations.StreamExplain(endless())
    settled = -1
    while settled != sent:
        settled = sent
        await asyncio.sleep(0.3)
    assert 2 <= sent < 4000
    call.cancel()
    await until(lambda: running.server.active_calls == 0)


async def test_a_client_that_vanishes_frees_its_work(start, small_engine, items, until):
    running = await start(small_engine(seconds=60.0), workers=2, stream_window=4)
    call = running.explanations.StreamExplain(iter(items(*[0.9] * 6)))
    await until(lambda: running.engine.running == 2)
    call.cancel()
    await until(lambda: running.engine.running == 0)
    assert running.engine.cancelled == 2
    assert len(running.engine.seen) == 2
    await until(lambda: running.server.active_calls == 0)


async def test_answers_come_as_they_are_ready(start, small_engine, request_for):
    """The slow lane's item is sent first and answered last."""
    running = await start(small_engine(seconds=0.0))
    slow = explanation_service_pb2.StreamExplainRequest(
        item_id="slow", request=request_for(path_mask=explanation_pb2.PathMaskParameters())
    )
    fast = explanation_service_pb2.StreamExplainRequest(item_id="fast", request=request_for())
    call = running.explanations.StreamExplain()
    gate = running.engine.hold_slow()
    await call.write(slow)
    await call.write(fast)
    assert (await call.read()).item_id == "fast"
    gate.set()
    assert (await call.read()).item_id == "slow"
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_stream_outlives_its_connections_age(start, items, until, monkeypatch):
    monkeypatch.setattr(server, "CONNECTION_SECONDS", 1)
    running = await start()
    first, second = items(0.9, 0.9)
    call = running.explanations.StreamExplain()
    await call.write(first)
    assert (await call.read()).item_id == "0"
    await until(lambda: running.channel.get_state() is not grpc.ChannelConnectivity.READY, seconds=60)
    await call.write(second)
    assert (await call.read()).item_id == "1"
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_no_call_is_cut_however_long_its_connection_has_been_old():
    """grpcio's grace period is endless; half a minute, as there once was, is less than a REFERENCE mask takes."""
    assert "grpc.max_connection_age_grace_ms" not in dict(grpcio_server.options(300, 1024, 1))
