"""Windows of streams and connections, both ways, and peers that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import h2.events
import h2.settings
import pytest

from explaind.service.http2.connection import Bounds
from explaind.service.http2.stream import RECEIVE_WINDOW, Stream
from tests.service.http2.peers import (
    ACK,
    DATA,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    NO_ERROR,
    PADDED,
    PING,
    PREFACE,
    RST_STREAM,
    SERVING,
    SETTINGS,
    WATCH,
    WINDOW,
    WINDOW_UPDATE,
    address_of,
    assert_serving,
    connected,
    frame,
    h2_caller,
    message,
    settings,
    window_update,
)
from tests.service.rpc.plain_server import path, plain_server

pytestmark = pytest.mark.asyncio


async def test_an_answer_comes_ten_bytes_at_a_time_where_the_peer_wants_it_so():
    async with (
        plain_server() as plain,
        connected(plain.address, PREFACE + settings((INITIAL_WINDOW_SIZE, 10))) as peer,
    ):
        peer.send(peer.call(1, path("Repeat"), b"1000"))
        data = b""
        while not (found := await peer.frame()).ends:
            if found.kind == DATA:
                assert len(found.payload) == 10 or len(data) + len(found.payload) == 1005
                data += found.payload
                peer.send(window_update(1, 10))
        assert data == message(b"x" * 1000)


async def test_the_windows_of_connection_and_streams_bound_what_is_sent_before_a_credit():
    async with plain_server() as plain, h2_caller(plain.address, crediting=False) as caller:
        streams = [caller.call(path("Repeat"), b"50000") for _ in range(3)]
        received = caller.answers

        def total():
            return sum(len(received[stream].data) for stream in streams)

        while total() < WINDOW:
            await caller.pump()  # h2 itself fails for a byte too many
        caller.state.ping(b"are more")
        caller.flush()
        while not any(isinstance(event, h2.events.PingAckReceived) for event in caller.events):
            await caller.pump()
        assert total() == WINDOW
        caller.state.increment_flow_control_window(2**20)
        caller.flush()
        for stream in streams:
            assert (await caller.answer(stream)).data == message(b"x" * 50_000)


async def test_a_large_answer_reaches_a_caller_that_credits_as_it_reads():
    async with plain_server() as plain, h2_caller(plain.address) as caller:
        streams = [caller.call(path("Repeat"), b"1000000") for _ in range(3)]
        for stream in streams:
            assert (await caller.answer(stream)).data == message(b"x" * 1_000_000)


async def test_a_window_may_become_negative_and_is_then_owed():
    async with (
        plain_server() as plain,
        connected(plain.address, PREFACE + settings((INITIAL_WINDOW_SIZE, 100))) as peer,
    ):
        peer.send(peer.call(1, path("Repeat"), b"300"))
        assert len((await peer.find(DATA)).payload) == 100
        peer.send(settings((INITIAL_WINDOW_SIZE, 40)))  # the stream's window is -60 now
        await peer.find(SETTINGS, flags=ACK)
        peer.send(window_update(1, 60), frame(PING, 0, 0, bytes(8)))
        while (found := await peer.frame()).kind != PING:
            assert found.kind != DATA, "sent into a window of nothing"
        peer.send(window_update(1, 1))
        assert len((await peer.find(DATA)).payload) == 1
        peer.send(settings((INITIAL_WINDOW_SIZE, 1000)))
        assert len((await peer.find(DATA)).payload) == 305 - 101
        assert (await peer.find(HEADERS)).ends


async def test_a_window_that_settings_open_lets_all_streams_go_on():
    async with (
        plain_server() as plain,
        connected(plain.address, PREFACE + settings((INITIAL_WINDOW_SIZE, 0))) as peer,
    ):
        peer.send(peer.call(1, path("Repeat"), b"300"), peer.call(3, path("Repeat"), b"200"))
        await peer.find(HEADERS, stream=1)
        await peer.find(HEADERS, stream=3)
        peer.send(settings((INITIAL_WINDOW_SIZE, WINDOW)))
        data = {1: b"", 3: b""}
        ended = 0
        while ended < 2:
            found = await peer.frame()
            ended += found.ends
            if found.kind == DATA:
                data[found.stream] += found.payload
        assert data == {1: message(b"x" * 300), 3: message(b"x" * 200)}


async def test_settings_are_acknowledged_before_what_they_let_through():
    """Until then a peer holds a stream to its old window, and ends it for a byte more."""
    async with (
        plain_server() as plain,
        connected(plain.address, PREFACE + settings((INITIAL_WINDOW_SIZE, 0))) as peer,
    ):
        peer.send(peer.call(1, path("Repeat"), b"300"))
        await peer.find(HEADERS)
        peer.send(settings((INITIAL_WINDOW_SIZE, WINDOW)))
        assert (await peer.frame()).kind == SETTINGS
        assert len((await peer.find(DATA)).payload) == 305


async def test_frames_are_as_large_as_the_peer_allows_and_no_larger():
    for largest in (2**14, 50_000):
        async with plain_server() as plain:
            greeting = PREFACE + settings((MAX_FRAME_SIZE, largest), (INITIAL_WINDOW_SIZE, 2**20))
            async with connected(plain.address, greeting + window_update(0, 2**20)) as peer:
                peer.send(peer.call(1, path("Repeat"), b"200000"))
                sizes = []
                while not (found := await peer.frame()).ends:
                    if found.kind == DATA:
                        sizes.append(len(found.payload))
                assert (max(sizes), sum(sizes)) == (largest, 200_005)


async def test_header_blocks_larger_than_a_frame_are_continued():
    async def long(request, context):
        context.set_trailing_metadata((("x-long", "v" * 40_000),))
        return request

    async with plain_server(unary={"Long": long}) as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Long"), b"a"))
        _, data, last = await peer.answer()
        assert (data, last["x-long"], last["grpc-status"]) == (message(b"a"), "v" * 40_000, "0")


async def test_a_large_upload_is_credited_as_it_comes():
    """More than both windows: 1 MiB of a stream, 16 MiB of the connection."""
    async with plain_server(most_message_bytes=20 * 2**20) as plain, h2_caller(plain.address) as caller:
        size = 18 * 2**20
        sent = bytes(size - 1) + b"!"
        stream = caller.begin(path("Echo"))
        await caller.upload(stream, message(sent))
        assert (await caller.answer(stream)).data == message(sent)
        credited = {event.stream_id for event in caller.events if isinstance(event, h2.events.WindowUpdated)}
        assert credited == {0, stream}


async def test_padding_is_credited_too():
    """Else a peer that pads would be held up for ever."""
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.headers(1, path("Echo")))
        sent = message(b"p" * 30_000)
        credit = 2**20
        for at in range(0, len(sent), 10):
            while credit < 211:
                credit += int.from_bytes((await peer.find(WINDOW_UPDATE, stream=1)).payload, "big")
            peer.send(frame(DATA, PADDED, 1, b"\xc8" + sent[at : at + 10] + bytes(200)))
            credit -= 211
        peer.send(frame(DATA, END_STREAM, 1))
        assert (await peer.answer())[1][:100] == sent[:100]


async def test_more_data_than_the_windows_is_not_taken():
    """Of a call that is not read, so that nothing is credited."""
    async with plain_server() as plain:
        async with connected(plain.address) as peer:
            peer.send(peer.headers(1, path("Hold")))
            await peer.find(WINDOW_UPDATE)
            for _ in range(65):
                peer.send(frame(DATA, 0, 1, message(bytes(16_379))))
            last = await peer.farewell()
            assert last.code == FLOW_CONTROL_ERROR
        assert plain.read == []
        async with connected(plain.address) as peer:
            peer.send(peer.call(1, path("Echo"), b"fine"))
            assert (await peer.answer())[1] == message(b"fine")


async def test_data_up_to_the_window_is_taken():
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.headers(1, path("Hold")))
        for _ in range(64):
            peer.send(frame(DATA, 0, 1, message(bytes(16_379))))
        peer.send(frame(PING, 0, 0, bytes(8)))
        while (found := await peer.frame()).kind != PING:
            assert (found.kind, found.stream) != (WINDOW_UPDATE, 1), "credited, though nobody has read it"
        plain.opened.set()
        assert int.from_bytes((await peer.find(WINDOW_UPDATE, stream=1)).payload, "big") == 2**20
        peer.send(frame(DATA, END_STREAM, 1))
        assert (await peer.find(HEADERS, flags=END_STREAM)).fields["grpc-status"] == "0"
        assert len(plain.read) == 64


async def test_a_peer_that_never_reads_is_not_read_from_and_goes_on_where_it_reads():
    async with (
        plain_server() as plain,
        connected(plain.address, PREFACE + settings((INITIAL_WINDOW_SIZE, 2**31 - 1))) as peer,
    ):
        peer.send(window_update(0, 2**31 - 1 - WINDOW))  # so that no window holds the answer back
        peer.send(peer.call(1, path("Pour"), b"5000"))
        held = -1
        while held != plain.written:  # the system's own buffers take some megabytes
            held = plain.written
            await asyncio.sleep(0.2)
        assert 0 < held < 5000
        peer.send(peer.call(3, path("Echo"), b"unheard"))
        # Others are.
        async with connected(plain.address) as other:
            other.send(other.call(1, path("Echo"), b"heard"))
            assert (await other.answer())[1] == message(b"heard")
        echoed, poured, ended = b"", 0, 0
        while ended < 2:
            found = await peer.frame()
            ended += found.ends
            if found.kind == DATA:
                echoed += found.payload if found.stream == 3 else b""
                poured += len(found.payload) if found.stream == 1 else 0
        assert (echoed, poured) == (message(b"unheard"), 5000 * 10_005)


async def test_a_peer_that_never_reads_and_answers_no_ping_is_given_up(until):
    bounds = Bounds(keepalive=0.2, keepalive_timeout=0.2)
    async with (
        plain_server(bounds=bounds) as plain,
        connected(plain.address, PREFACE + settings((INITIAL_WINDOW_SIZE, 2**31 - 1))) as peer,
    ):
        # Or asyncio's own reader would read on, whatever the test does.
        peer.writer.transport.pause_reading()
        peer.send(window_update(0, 2**31 - 1 - WINDOW), peer.call(1, path("Pour"), b"5000"))
        await until(lambda: plain.written > 0)
        await until(lambda: plain.cancelled == 1)
        assert plain.written < 5000


async def test_whoever_begins_a_stream_after_the_last_that_we_take_may_try_it_elsewhere():
    async with plain_server(bounds=Bounds(age=0.1)) as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Wait"), b"old"))
        first = await peer.find(GOAWAY)
        assert (int.from_bytes(first.payload[:4], "big"), first.code) == (2**31 - 1, NO_ERROR)
        ping = await peer.find(PING)
        # Begun before the farewell had been read, for all the server knows: it is taken.
        peer.send(peer.call(3, path("Echo"), b"in time"), frame(PING, ACK, 0, ping.payload))
        came = await peer.both(GOAWAY, DATA)
        assert came[DATA].payload == message(b"in time")
        last = came[GOAWAY]
        assert (int.from_bytes(last.payload[:4], "big"), last.code) == (3, NO_ERROR)
        peer.send(peer.call(5, path("Echo"), b"late"))
        assert (await peer.find(RST_STREAM, stream=5)).code == 7
        plain.opened.set()
        assert (await peer.answer(1))[1] == message(b"old")
        await peer.gone()


async def test_small_writes_leave_at_once():
    """Else each waits for the peer's word that it has the last one, which that holds back for 40 ms."""
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Echo"), b"a"))
        await peer.answer()
        (connection,) = plain.server._connections
        taken = connection._transport.get_extra_info("socket")
        assert taken.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_a_connection_that_is_cut_at_any_byte_leaves_the_server_serving(start):
    running = await start()
    async with connected(running.server.address, b"") as peer:
        whole = PREFACE + settings() + peer.call(1, WATCH) + peer.call(3)
    host, port = running.server.address.rsplit(":", 1)
    for size in range(0, len(whole), 7):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(whole[:size])
        await asyncio.sleep(0)
        writer.transport.abort() if size % 2 else writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
    await assert_serving(running.server.address)
    assert running.server.active_calls == 0


async def test_everything_at_once_by_h2(start):
    async with h2_caller(await address_of(start)) as caller:
        streams = [caller.call(extra=[("x-request-id", f"call-{index}")]) for index in range(100)]
        for index, stream in enumerate(streams):
            answer = await caller.answer(stream)
            assert (answer.data, answer.trailers["x-request-id"]) == (SERVING, f"call-{index}")


async def test_frames_of_nothing_but_padding_are_credited():
    """Else a caller that keeps to every rule could send no more."""
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.headers(1, path("Echo")))
        for _ in range(3 * RECEIVE_WINDOW // 256 // 2):
            peer.send(frame(DATA, PADDED, 1, b"\xff" + bytes(255)))
        assert (await peer.find(WINDOW_UPDATE, stream=1)).payload


async def test_thousands_of_windows_in_one_frame_cost_as_much_as_one(monkeypatch):
    """The last counts, once for each of the streams that are open."""
    widened = []
    widen = Stream.widen
    monkeypatch.setattr(Stream, "widen", lambda stream, credit: (widened.append(credit), widen(stream, credit)))
    greeting = PREFACE + settings((INITIAL_WINDOW_SIZE, 0))
    async with plain_server() as plain, connected(plain.address, greeting) as peer:
        streams = range(1, 200, 2)
        for stream in streams:
            peer.send(peer.call(stream, path("Echo"), b"echo"))
            await peer.find(HEADERS, stream=stream)  # and its data waits
        peer.send(settings(*((INITIAL_WINDOW_SIZE, number) for number in range(1, 2701)), (INITIAL_WINDOW_SIZE, 100)))
        answers = [await peer.find(HEADERS, flags=END_STREAM) for _ in streams]
    assert widened == [100] * len(streams)
    assert {each.fields["grpc-status"] for each in answers} == {"0"}
