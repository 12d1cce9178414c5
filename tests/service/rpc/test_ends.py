"""How calls end: at their deadline, by their caller, with their connection, by a stop."""

from __future__ import annotations

import asyncio
import contextlib

import grpc
import pytest

from explaind.service.http2.connection import Bounds
from tests.service.http2.peers import (
    ACK,
    GOAWAY,
    HANG,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PING,
    PREFACE,
    Gone,
    connected,
    frame,
    h2_caller,
    message,
    settings,
    window_update,
)
from tests.service.rpc.plain_server import path, plain_server
from tests.service.rpc.told import (
    DEADLINE_EXCEEDED,
    OK,
    UNAVAILABLE,
    item,
)

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("timeout", ["0n", "1n", "50m", "50000u"])
async def test_the_server_itself_ends_a_call_at_its_deadline(timeout):
    """Of a peer that would wait for ever; whatever the call is at: nothing yet, half a message, its work."""
    async with plain_server() as plain, h2_caller(plain.address) as caller:
        extra = [("grpc-timeout", timeout)]
        streams = [
            caller.begin(path("Wait"), extra),
            caller.begin(path("Wait"), extra),
            caller.call(path("Wait"), b"a", extra),
            caller.begin(path("EchoStream"), extra),
            caller.begin(path("Hold"), extra),
        ]
        caller.state.send_data(streams[1], message(b"half")[:-2])
        caller.flush()
        for stream in streams:
            assert (await caller.answer(stream)).status == (DEADLINE_EXCEEDED, "Deadline exceeded.")
        assert plain.waiting == 0
        assert (await caller.answer(caller.call(path("Echo"), b"b", [("grpc-timeout", "10S")]))).status[0] == OK


@pytest.mark.parametrize("timeout", ["99999999H", "1H"])
async def test_a_deadline_that_is_far_away_is_none(timeout):
    async with plain_server() as plain, h2_caller(plain.address) as caller:
        assert (await caller.answer(caller.call(path("Echo"), b"", [("grpc-timeout", timeout)]))).status[0] == OK


async def test_a_stream_that_has_answered_ends_at_its_deadline_too():
    async with plain_server() as plain, h2_caller(plain.address) as caller:
        stream = caller.begin(path("EchoStream"), [("grpc-timeout", "300m")])
        caller.state.send_data(stream, message(b"a"))
        caller.flush()
        answer = await caller.answer(stream)
        assert (answer.data, answer.status[0]) == (message(b"a"), DEADLINE_EXCEEDED)


async def test_a_caller_that_gives_up_ends_the_work(start, small_engine, request_for, until):
    running = await start(small_engine(seconds=60.0), workers=1)
    calls = [running.explanations.Explain(request_for()) for _ in range(3)]
    stream = running.explanations.StreamExplain(iter([item(request_for)] * 3))
    reading = asyncio.ensure_future(stream.read())
    await until(lambda: running.engine.running == 1 and running.server.active_calls == 4)
    for call in (*calls, stream):
        call.cancel()
    await until(lambda: running.engine.running == running.server.active_calls == 0)
    await asyncio.gather(reading, *calls, return_exceptions=True)
    running.engine.seconds = 0.0
    assert (await running.explain()).prediction.class_name == "bright"


async def test_connections_that_grow_old_lose_no_call():
    """Clients are asked to connect anew some thirty times while they call, and none of them notices."""
    async with plain_server(bounds=Bounds(age=0.1)) as plain, grpc.aio.insecure_channel(plain.address) as channel:
        echo, stream = channel.unary_unary(path("Echo")), channel.stream_stream(path("EchoStream"))
        seen = set()
        opened = plain.server.opened

        def noting(connection):
            seen.add(id(connection))
            opened(connection)

        plain.server.opened = noting

        async def caller(name):
            for index in range(60):
                sent = b"%d of %d" % (index, name)
                assert await echo(sent, timeout=HANG) == sent
                await asyncio.sleep(0.01)

        async def streamer():
            for _ in range(10):
                call = stream(timeout=HANG)
                for index in range(5):
                    await call.write(b"%d" % index)
                    assert await call.read() == b"%d" % index
                    await asyncio.sleep(0.01)
                await call.done_writing()
                assert await call.code() is grpc.StatusCode.OK

        async with asyncio.timeout(2 * HANG):
            await asyncio.gather(*map(caller, range(8)), streamer())
        assert len(seen) > 2


async def test_a_stop_waits_for_the_calls_under_way_and_takes_no_other(until):
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Wait"), b"a"))
        await until(lambda: plain.waiting == 1)
        stop = asyncio.ensure_future(plain.server.stop(60.0))
        assert (await peer.find(GOAWAY)).code == 0
        with pytest.raises(OSError):
            async with connected(plain.address):
                pass
        assert not stop.done()
        ping = await peer.find(PING)
        plain.opened.set()
        assert (await peer.answer(1))[1] == message(b"a")
        peer.send(frame(PING, ACK, 0, ping.payload))
        await peer.gone()
        async with asyncio.timeout(HANG):
            await stop


async def test_a_stop_ends_what_goes_on_after_its_grace(until):
    """Whatever it is at: its work, its message still coming, its messages not read."""
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Wait"), b"a"), peer.headers(3, path("Wait")), peer.headers(5, path("Hold")))
        await until(lambda: plain.waiting == 1)
        stop = asyncio.ensure_future(plain.server.stop(0.1))
        codes = {}
        with contextlib.suppress(Gone):
            while True:
                found = await peer.frame()
                if found.kind == HEADERS:
                    codes[found.stream] = found.fields["grpc-status"]
        assert codes == {1: UNAVAILABLE, 3: UNAVAILABLE, 5: UNAVAILABLE}
        async with asyncio.timeout(HANG):
            await stop
        assert plain.cancelled == 1


async def test_a_stop_does_not_wait_for_idle_callers_that_answer(start):
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        await channel.unary_unary(path("Echo"))(b"")
        async with asyncio.timeout(HANG):
            await plain.server.stop(1e6)


async def test_a_stop_does_not_wait_for_ever_for_callers_that_do_not_read(until):
    greeting = PREFACE + settings((INITIAL_WINDOW_SIZE, 2**31 - 1)) + window_update(0, 2**31 - 1 - 65_535)
    async with plain_server() as plain, connected(plain.address, greeting) as peer:
        peer.writer.transport.pause_reading()
        peer.send(peer.call(1, path("Pour"), b"5000"))
        await until(lambda: plain.written > 100)
        async with asyncio.timeout(HANG):
            await plain.server.stop(0.1)
        assert plain.cancelled == 1


async def test_two_stops_at_once_are_one(until):
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Wait"), b"a"))
        await until(lambda: plain.waiting == 1)
        patient = asyncio.ensure_future(plain.server.stop(1e6))
        await asyncio.sleep(0)
        async with asyncio.timeout(HANG):
            _, _, (_, _, last) = await asyncio.gather(plain.server.stop(0.1), patient, peer.answer(1))
        assert last["grpc-status"] == UNAVAILABLE
