"""Calls as gRPC's own clients make them, and as h2 makes them where those would hide what the server does."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from explaind.v1 import explanation_service_pb2_grpc
from tests.service.http2.peers import (
    HANG,
    connected,
)
from tests.service.rpc.plain_server import path, plain_server
from tests.service.rpc.told import (
    item,
)

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_530, 65_531, 1_000_000, 4 * 1024 * 1024 - 64])
async def test_messages_of_every_size_come_back_whole(size):
    """At the edges of a frame and of the windows that a client begins with, and far beyond."""
    sent = (b"0123456789" * (size // 10 + 1))[:size]
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        echo = channel.unary_unary(path("Echo"))
        assert await echo(sent, timeout=HANG) == sent


@pytest.mark.parametrize("size", [0, 1, 20_000, 300_000])
async def test_streams_of_messages_come_back_in_their_order(size):
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        sent = [b"%d " % index + b"z" * size for index in range(30)]
        echoed = channel.stream_stream(path("EchoStream"))(iter(sent), timeout=HANG)
        assert [each async for each in echoed] == sent
        assert await echoed.code() is grpc.StatusCode.OK


async def test_a_client_that_blocks_is_served_too(start, request_for):
    running = await start()

    def ask():
        with grpc.insecure_channel(running.server.address) as channel:
            stub = explanation_service_pb2_grpc.ExplanationServiceStub(channel)
            one = stub.Explain(request_for(0.1), timeout=HANG).prediction.class_name
            items = [item(request_for, str(index)) for index in range(20)]
            answers = {each.item_id for each in stub.StreamExplain(iter(items), timeout=HANG)}
            return one, answers

    one, answers = await asyncio.to_thread(ask)
    assert (one, answers) == ("dark", {str(index) for index in range(20)})


async def test_a_watch_tells_of_each_change_until_its_caller_ends_it(start):
    running = await start()
    watch = health_pb2_grpc.HealthStub(running.channel).Watch(health_pb2.HealthCheckRequest(service="small"))
    async with asyncio.timeout(HANG):
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        for alive, status in ((False, "NOT_SERVING"), (True, "SERVING")):
            running.engine.alive = alive
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.ServingStatus.Value(status)
    watch.cancel()
    assert (await running.explain()).prediction.class_name == "bright"


async def test_a_stream_that_lasts_is_not_taken_for_an_abuse_of_pings():
    """A client measures what its connection carries by pings, as often as data comes."""
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        call = channel.stream_stream(path("EchoStream"))()
        for _ in range(100):
            await call.write(b"x" * 20_000)
            assert await call.read() == b"x" * 20_000
            await asyncio.sleep(0.01)
        await call.done_writing()
        assert await call.code() is grpc.StatusCode.OK


async def test_a_client_that_reads_slowly_gets_every_message():
    """It opens its windows bit by bit, by settings and by credits."""
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        call = channel.unary_stream(path("Pour"))(b"500")
        count = 0
        async for each in call:
            assert each == b"y" * 10_000
            count += 1
            await asyncio.sleep(0.002)
        assert (count, await call.code()) == (500, grpc.StatusCode.OK)


async def test_metadata_of_both_kinds_goes_both_ways():
    async def tell(request, context):
        got = dict(context.invocation_metadata())
        context.set_trailing_metadata((("x-text", got["x-text"]), ("x-raw-bin", got["x-raw-bin"])))
        return b""

    async with (
        plain_server(unary={"Tell": tell}) as plain,
        grpc.aio.insecure_channel(plain.address) as channel,
    ):
        for raw in (b"", b"\0", bytes(range(256)), b"\xff" * 1001):
            call = channel.unary_unary(path("Tell"))(b"", metadata=(("x-text", "a, b; c=%20"), ("x-raw-bin", raw)))
            await call
            assert dict(await call.trailing_metadata()) == {"x-text": "a, b; c=%20", "x-raw-bin": raw}


async def test_first_metadata_comes_before_the_message_and_not_in_its_place():
    async def greet(request, context):
        await context.send_initial_metadata((("x-first", "1"),))
        return request

    async with plain_server(unary={"Greet": greet}) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        call = channel.unary_unary(path("Greet"))(b"hello")
        assert await call == b"hello"
        assert dict(await call.initial_metadata())["x-first"] == "1"


@pytest.mark.parametrize(
    "text", ["größer als 100 %", "1 \N{MULTIPLICATION SIGN} 2\r\n", "%41", "\N{SNOWMAN}" * 50, "a\0b", ""]
)
async def test_what_a_status_says_arrives_in_any_letters(text):
    async def refuse(request, context):
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, text)

    async with plain_server(unary={"Refuse": refuse}) as plain:
        async with grpc.aio.insecure_channel(plain.address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await channel.unary_unary(path("Refuse"))(b"")
            assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, text)
        async with connected(plain.address) as peer:
            peer.send(peer.call(1, path("Refuse")))
            said = (await peer.answer())[2].get("grpc-message", "")
            assert all(" " <= letter <= "~" for letter in said)


async def test_a_handler_that_fails_says_nothing_of_how():
    async def fail(request, context):
        raise ZeroDivisionError("secret")

    async with plain_server(unary={"Fail": fail}) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(path("Fail"))(b"")
        assert caught.value.code() is grpc.StatusCode.UNKNOWN
        assert "secret" not in str(caught.value.details())
        assert await channel.unary_unary(path("Echo"))(b"still there") == b"still there"


async def test_a_handler_may_say_a_code_and_words_without_aborting():
    async def doubt(request, context):
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details("not here")
        return b"whatever"

    async with plain_server(unary={"Doubt": doubt}) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary(path("Doubt"))(b"")
        assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.NOT_FOUND, "not here")


async def test_a_handlers_callback_runs_once_when_its_call_is_over():
    over = []

    async def note(request, context):
        context.add_done_callback(lambda done: over.append(done.done()))
        assert not over
        return request

    async with plain_server(unary={"Note": note}) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        await channel.unary_unary(path("Note"))(b"")
        await channel.unary_unary(path("Echo"))(b"")
        assert over == [True]
