"""gRPC over HTTP/2: what a call may say, what it is answered with, and how it ends."""

from __future__ import annotations

import asyncio
import random

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from explaind.service import server
from explaind.service.http2 import connection, frames
from explaind.service.http2.frames import ErrorCode
from explaind.service.rpc.messages import prefixed
from explaind.v1 import explanation_service_pb2
from tests.service.http2.peers import EMPTY_MESSAGE
from tests.service.rpc.told import (
    DEADLINE_EXCEEDED,
    EXHAUSTED,
    EXPLAIN,
    INVALID_ARGUMENT,
    OK,
    STREAM_EXPLAIN,
    UNIMPLEMENTED,
    reason,
)

pytestmark = pytest.mark.asyncio


async def test_a_whole_answer_is_fields_message_and_status(start, connect, request_for):
    peer = await connect(await start())
    peer.send(peer.whole(1, EXPLAIN, prefixed(request_for().SerializeToString()), x_request_id="mine"))
    answer = await peer.outcome(1)
    first, last = answer.blocks
    assert (first[":status"], first["content-type"]) == ("200", "application/grpc")
    assert (last["grpc-status"], last["x-request-id"]) == (OK, "mine")
    assert explanation_service_pb2.ExplainResponse.FromString(answer.data[5:]).prediction.class_name == "bright"


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"_method": "GET"}, "405"), ({"content_type": "application/json"}, "415"), ({"leave_out": "content-type"}, "415"),
     ({"content_type": "application/grpc-web+proto"}, "415")],
)  # fmt: skip
async def test_what_is_no_call_is_told_so_in_http(start, connect, fields, status):
    peer = await connect(await start())
    peer.send(peer.whole(1, **fields) + peer.whole(3))
    assert (await peer.outcome(1)).blocks == [{":status": status}]
    assert (await peer.outcome(3)).status == OK


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8"])
async def test_every_way_to_say_grpc_is_understood(start, connect, kind):
    peer = await connect(await start())
    peer.send(peer.whole(1, content_type=kind))
    assert (await peer.outcome(1)).status == OK


BAD = {
    "a time-out without a unit": ({"grpc_timeout": "10"}, EMPTY_MESSAGE, INVALID_ARGUMENT, "INVALID_REQUEST"),
    "a time-out of nine digits": ({"grpc_timeout": "123456789S"}, EMPTY_MESSAGE, INVALID_ARGUMENT, "INVALID_REQUEST"),
    "a negative time-out": ({"grpc_timeout": "-1S"}, EMPTY_MESSAGE, INVALID_ARGUMENT, "INVALID_REQUEST"),
    "binary metadata that is none": ({"x_bin": "***"}, EMPTY_MESSAGE, INVALID_ARGUMENT, "INVALID_REQUEST"),
    "too much metadata": ({"x": "y" * 17_000}, EMPTY_MESSAGE, INVALID_ARGUMENT, "INVALID_REQUEST"),
    "no message": ({}, b"", INVALID_ARGUMENT, "INVALID_REQUEST"),
    "half a message": ({}, prefixed(b"abc")[:-1], INVALID_ARGUMENT, "INVALID_REQUEST"),
    "a mark that there is not": ({}, b"\7" + bytes(4), INVALID_ARGUMENT, "INVALID_REQUEST"),
    "an unknown compression": ({"grpc_encoding": "br"}, b"\1\0\0\0\1x", UNIMPLEMENTED, None),
    "no gzip": ({"grpc_encoding": "gzip"}, b"\1\0\0\0\1x", INVALID_ARGUMENT, "INVALID_REQUEST"),
    "no message of that method": ({}, prefixed(b"\xff\xff"), INVALID_ARGUMENT, "INVALID_REQUEST"),
    "a message over the limit": ({}, b"\0\xff\xff\xff\xff", EXHAUSTED, "MESSAGE_TOO_LARGE"),
}


@pytest.mark.parametrize("name", BAD)
async def test_a_broken_call_has_its_reason_and_the_next_is_served(start, connect, until, name):
    running = await start()
    fields, message, code, why = BAD[name]
    peer = await connect(running)
    peer.send(peer.whole(1, EXPLAIN, message, **fields) + peer.whole(3))
    answer = await peer.outcome(1)
    assert (answer.status, reason(answer.blocks[-1])) == (code, why)
    assert (await peer.outcome(3)).status == OK
    await until(lambda: not running.server._grpc._calls)


async def test_whoever_compresses_in_a_way_of_its_own_is_told_what_is_read(start, connect):
    """Where it has compressed something: to name an encoding is no use of it."""
    peer = await connect(await start())
    peer.send(peer.whole(1, EXPLAIN, b"\1\0\0\0\1x", grpc_encoding="br") + peer.whole(3, grpc_encoding="br"))
    told = (await peer.outcome(1)).blocks[-1]
    assert told["grpc-accept-encoding"] == "identity, deflate, gzip" and "br" in told["grpc-message"]
    assert (await peer.outcome(3)).status == OK


async def test_a_method_that_nobody_serves_is_named(start, connect):
    peer = await connect(await start())
    peer.send(peer.whole(1, "/explaind.v1.ExplanationService/Erklär%e"))
    answer = await peer.outcome(1)
    assert answer.status == UNIMPLEMENTED
    assert "/explaind.v1.ExplanationService/Erkl" in answer.blocks[0]["grpc-message"]
    assert "%25e" in answer.blocks[0]["grpc-message"]


async def test_text_and_binary_metadata_arrive(start, request_for):
    running = await start()
    seen = []
    handler = running.server._grpc._handlers[EXPLAIN]
    answer = handler.unary_unary

    async def noting(request, context):
        seen.append((context.invocation_metadata(), context.peer(), context.time_remaining()))
        return await answer(request, context)

    running.server._grpc._handlers[EXPLAIN] = grpc.unary_unary_rpc_method_handler(
        noting, handler.request_deserializer, handler.response_serializer
    )
    await running.explanations.Explain(
        request_for(), metadata=(("a", "1"), ("a", "2"), ("b-bin", b"\0\xff")), timeout=9
    )
    ((metadata, peer, remaining),) = seen
    assert [pair for pair in metadata if pair[0] in "ab-bin"] == [("a", "1"), ("a", "2"), ("b-bin", b"\0\xff")]
    assert not {name for name, _ in metadata} & {":path", "te", "grpc-timeout", "content-type"}
    assert peer.startswith("ipv4:127.0.0.1:")
    assert 0 < remaining <= 9


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_compressed_calls_are_answered(start, request_for, compression):
    """Those that are inflated on the loop, and those in a thread."""
    running = await start()
    answer = await running.explanations.Explain(request_for(), compression=compression, timeout=30)
    assert answer.prediction.class_name == "bright"
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await running.explanations.Explain(request_for(model=random_text(20_000)), compression=compression, timeout=30)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


def random_text(size):
    return random.Random(0).randbytes(size).hex()


async def test_a_deadline_is_kept_by_the_server_too(start, connect, request_for, until):
    """This caller does not look at the clock itself."""
    running = await start(workers=1)
    running.engine.seconds = 60.0
    peer = await connect(running)
    message = prefixed(request_for().SerializeToString())
    peer.send(
        peer.whole(1, EXPLAIN, message, grpc_timeout="200m") + peer.whole(3, EXPLAIN, message, grpc_timeout="200m")
    )
    assert {(await peer.outcome(number)).status for number in (1, 3)} == {DEADLINE_EXCEEDED}
    await until(lambda: running.engine.running == running.server.active_calls == 0)
    assert running.engine.cancelled == 1  # the other was waiting
    await until(lambda: not running.server._grpc._calls)


@pytest.mark.parametrize("lost", [False, True])
async def test_who_gives_up_or_is_gone_leaves_nothing_behind(start, connect, request_for, until, lost):
    running = await start(workers=1)
    running.engine.seconds = 60.0
    peer = await connect(running)
    message = prefixed(request_for().SerializeToString())
    peer.send(b"".join(peer.whole(number, EXPLAIN, message) for number in (1, 3, 5)) + peer.request(7, EXPLAIN))
    await until(lambda: running.engine.running == 1 and running.server.active_calls == 3)
    if lost:
        peer.writer.close()
    else:
        peer.send(b"".join(frames.reset(number, ErrorCode.CANCEL) for number in (1, 3, 5, 7)))
    await until(lambda: running.engine.running == running.server.active_calls == 0)
    await until(lambda: not running.server._grpc._calls)
    running.engine.seconds = 0.0
    assert (await running.explain()).prediction.class_name == "bright"


async def test_a_call_that_is_given_up_as_it_comes_is_forgotten(start, connect, request_for, until):
    """Begun and reset in one breath, a thousand times."""
    running = await start()
    peer = await connect(running)
    message = prefixed(request_for().SerializeToString())
    for number in range(1, 2001, 2):
        peer.send(peer.whole(number, EXPLAIN, message) + frames.reset(number, ErrorCode.CANCEL))
    peer.send(peer.whole(2001, EXPLAIN, message))
    assert (await peer.outcome(2001)).status == OK
    await until(lambda: len(running.server._grpc._calls) == running.server._grpc._waiting == 0)


async def test_more_calls_than_may_wait_are_refused_typed(start, connect, request_for, monkeypatch, until):
    monkeypatch.setattr(server, "MOST_WAITING", 5)
    running = await start()
    peer = await connect(running)
    message = prefixed(request_for().SerializeToString())
    numbers = range(1, 101, 2)
    peer.send(b"".join(peer.whole(number, EXPLAIN, message) for number in numbers))
    answers = [await peer.outcome(number) for number in numbers]
    assert {answer.status for answer in answers} == {OK, EXHAUSTED}
    refused = [answer for answer in answers if answer.status == EXHAUSTED]
    assert {reason(answer.blocks[-1]) for answer in refused} == {"QUEUE_FULL"}
    assert int(refused[0].blocks[0]["grpc-retry-pushback-ms"]) > 0
    await until(lambda: not running.server._grpc._calls)


async def test_calls_that_begin_and_never_come_are_bounded(start, connect, monkeypatch, until):
    monkeypatch.setattr(server, "MOST_WAITING", 5)
    running = await start()
    peer = await connect(running)
    peer.send(b"".join(peer.request(number, EXPLAIN) for number in range(1, 41, 2)))
    refused = await peer.outcome(21)
    assert (refused.status, reason(refused.blocks[-1])) == (EXHAUSTED, "QUEUE_FULL")
    assert len(running.server._grpc._calls) == 10
    peer.send(b"".join(frames.reset(number, ErrorCode.CANCEL) for number in range(1, 21, 2)) + peer.whole(41))
    assert (await peer.outcome(41)).status == OK


async def test_a_probe_is_taken_up_before_the_explanations_that_wait(start, connect, request_for):
    running = await start()
    peer = await connect(running)
    message = prefixed(request_for().SerializeToString())
    peer.send(b"".join(peer.whole(number, EXPLAIN, message) for number in range(1, 61, 2)) + peer.whole(61))
    await peer.outcome(61)
    assert sum(answer.ended for answer in peer.answers.values()) < 20


async def test_a_stream_is_answered_while_it_is_still_sent(start, connect, request_for):
    peer = await connect(await start())
    item = explanation_service_pb2.StreamExplainRequest(item_id="1", request=request_for())
    message = prefixed(item.SerializeToString())
    peer.send(peer.request(1, STREAM_EXPLAIN) + frames.frame(frames.DATA, 0, 1, message[:7]))
    peer.send(frames.frame(frames.DATA, 0, 1, message[7:] + message))
    while peer.answers.get(1) is None or peer.answers[1].data.count(b"bright") < 2:
        await peer.hear()
    peer.send(frames.frame(frames.DATA, frames.END_STREAM, 1, b""))
    assert (await peer.outcome(1)).status == OK


async def test_a_stream_that_ends_within_a_message_says_so(start, connect):
    peer = await connect(await start())
    peer.send(peer.whole(1, STREAM_EXPLAIN, prefixed(b"abc")[:-1]))
    answer = await peer.outcome(1)
    assert (answer.status, reason(answer.blocks[-1])) == (INVALID_ARGUMENT, "INVALID_REQUEST")


async def test_a_stream_whose_answers_nobody_takes_is_not_read_on(start, connect, request_for, until):
    running = await start(stream_window=2)
    peer = await connect(running, window=0)
    item = explanation_service_pb2.StreamExplainRequest(item_id="1", request=request_for())
    peer.send(peer.request(1, STREAM_EXPLAIN))
    peer.send(frames.frame(frames.DATA, 0, 1, prefixed(item.SerializeToString()) * 50))
    await until(lambda: len(running.engine.seen) == 2)
    await asyncio.sleep(0.2)
    assert len(running.engine.seen) <= 3, "items go on though their answers are not taken"
    peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 65_535}))
    peer.send(frames.frame(frames.DATA, frames.END_STREAM, 1, b""))
    assert (await peer.outcome(1)).status == OK
    assert len(running.engine.seen) == 50


async def test_a_stop_asks_callers_to_go_and_ends_what_is_left(start, connect, request_for, until):
    running = await start()
    running.engine.seconds = 60.0
    peer = await connect(running)
    peer.send(peer.whole(1, EXPLAIN, prefixed(request_for().SerializeToString())))
    await until(lambda: running.engine.running == 1)
    stopping = asyncio.create_task(running.server.stop(grace_seconds=0.2))
    assert (await peer.outcome(1)).status == "14"
    while await peer.hear() is not None:
        pass
    assert {heard.kind for heard in peer.heard} >= {frames.GOAWAY}
    await stopping
    assert running.engine.cancelled == 1


async def test_a_watch_hears_of_changes_and_ends_with_its_caller(start, until):
    running = await start()
    watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
    running.engine.alive = False
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
    watch.cancel()
    await until(lambda: not running.server._grpc._calls)


async def test_a_stop_waits_for_answers_that_their_callers_are_slow_to_take(start, connect, request_for, until):
    running = await start()
    peer = await connect(running, window=10)
    peer.send(peer.whole(1, EXPLAIN, prefixed(request_for().SerializeToString())))
    await peer.until(lambda heard: heard.kind == frames.DATA)
    stopping = asyncio.create_task(running.server.stop(grace_seconds=60.0))
    await peer.until(lambda heard: heard.kind == frames.GOAWAY)
    await asyncio.sleep(0.5)  # longer than what is left for last bytes when no call is in work
    peer.send(frames.settings({frames.INITIAL_WINDOW_SIZE: 65_535}))
    assert (await peer.outcome(1)).status == OK
    peer.writer.close()
    await stopping


@pytest.mark.parametrize("window", [0, 10])
async def test_an_answer_that_nobody_takes_is_given_up_at_its_deadline(start, connect, request_for, until, window):
    running = await start()
    peer = await connect(running, window=window)
    peer.send(peer.whole(1, EXPLAIN, prefixed(request_for().SerializeToString()), grpc_timeout="300m"))
    assert (await peer.outcome(1)).reset == ErrorCode.CANCEL
    await until(lambda: running.server.active_calls == len(running.server._grpc._calls) == 0)


async def test_more_streams_than_are_allowed_are_to_be_tried_again(start, connect, monkeypatch):
    monkeypatch.setattr(connection, "MOST_STREAMS", 3)
    peer = await connect(await start())
    told = await peer.until(lambda heard: heard.kind == frames.SETTINGS)
    assert dict(frames.SETTING.iter_unpack(told.payload))[frames.MAX_CONCURRENT_STREAMS] == 3
    peer.send(b"".join(peer.request(number) for number in (1, 3, 5, 7)))
    assert (await peer.outcome(7)).reset == ErrorCode.REFUSED_STREAM
    peer.send(frames.frame(frames.DATA, frames.END_STREAM, 1, EMPTY_MESSAGE))
    assert (await peer.outcome(1)).status == OK


async def test_metadata_that_cannot_be_sent_costs_the_call_and_no_more(start, connect, until):
    running = await start()

    async def failing(request, context):
        context.set_trailing_metadata((("a", "é"),))
        context.set_code(grpc.StatusCode.NOT_FOUND)

    handlers = {"Fail": grpc.unary_unary_rpc_method_handler(failing, bytes, bytes)}
    running.server._grpc.add_registered_method_handlers("own.Service", handlers)
    peer = await connect(running)
    peer.send(peer.whole(1, "/own.Service/Fail") + peer.whole(3))
    assert (await peer.outcome(1)).status == "2"
    assert (await peer.outcome(3)).status == OK
    await until(lambda: not running.server._grpc._calls)
