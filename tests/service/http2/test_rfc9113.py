"""What RFC 9113 asks of a server, with peers that break each of its rules; whatever one does, the next is served."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import h2.events
import h2.settings
import hpack
import pytest

from explaind.service.http2.connection import Bounds
from tests.service.http2.peers import (
    ACK,
    CANCEL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    HEALTH,
    NO_ERROR,
    PADDED,
    PING,
    PREFACE,
    PRIORITISED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    WATCH,
    WINDOW_UPDATE,
    assert_serving,
    call_fields,
    connected,
    frame,
    h2_caller,
    message,
    settings,
    window_update,
)
from tests.service.rpc.plain_server import path, plain_server

pytestmark = pytest.mark.asyncio

SERVING = message(b"\x08\x01")
HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5
WINDOW = 65_535


async def address_of(start):
    return (await start()).server.address


# ---- what ends the connection -----------------------------------------------------------------------------------


def bomb(peer):
    """4 kB that are told a hundred times by an index of one byte."""
    entry = hpack.Encoder().encode([("x", "y" * 4000)], huffman=False)
    return frame(HEADERS, END_HEADERS | END_STREAM, 1, entry + b"\xbe" * 100)


def block(data, stream=1, flags=END_HEADERS | END_STREAM):
    return lambda peer: frame(HEADERS, flags, stream, data)


def raw(*frames):
    return lambda peer: b"".join(frames)


def watched(*more):
    """A call that goes on and on, whose caller has sent all that it had to, and something more."""
    return lambda peer: peer.call(1, WATCH) + b"".join(each if isinstance(each, bytes) else each(peer) for each in more)


def again(stream=1, flags=END_HEADERS):
    return lambda peer: peer.headers(stream, HEALTH, flags=flags)


def begun(peer):
    return peer.headers(1, HEALTH, flags=0)


def within(*more):
    """A header block that has begun, and something more."""
    return lambda peer: begun(peer) + b"".join(more)


ABUSES = {
    "a frame larger than we allow": (raw(frame(DATA, 0, 1, bytes(16_385))), FRAME_SIZE_ERROR),
    "no settings first": (None, PROTOCOL_ERROR),
    "data on stream 0": (raw(frame(DATA, 0, 0, b"x")), PROTOCOL_ERROR),
    "data on an idle stream": (raw(frame(DATA, 0, 1, b"x")), PROTOCOL_ERROR),
    "data on a stream of ours": (raw(frame(DATA, 0, 2, b"x")), PROTOCOL_ERROR),
    "headers on stream 0": (again(0), PROTOCOL_ERROR),
    "headers on an even stream": (again(2), PROTOCOL_ERROR),
    "headers after the stream's end": (watched(again(flags=END_HEADERS | END_STREAM)), STREAM_CLOSED),
    "data after the stream's end": (watched(frame(DATA, 0, 1, b"x")), STREAM_CLOSED),
    "a stream numbered below one that was opened": (
        lambda peer: peer.call(5, WATCH) + peer.call(3, WATCH),
        PROTOCOL_ERROR,
    ),
    "a second header block that does not end the stream": (
        lambda peer: peer.headers(1, WATCH) + peer.headers(1, WATCH),
        PROTOCOL_ERROR,
    ),
    "a continuation of nothing": (raw(frame(CONTINUATION, END_HEADERS, 1, b"")), PROTOCOL_ERROR),
    "a continuation after a whole block": (
        watched(frame(CONTINUATION, END_HEADERS, 1, b"")),
        PROTOCOL_ERROR,
    ),
    "a continuation of another stream's block": (within(frame(CONTINUATION, END_HEADERS, 3, b"")), PROTOCOL_ERROR),
    "a ping within a block": (within(frame(PING, 0, 0, bytes(8))), PROTOCOL_ERROR),
    "an unknown frame within a block": (within(frame(0xFA, 0, 0, b"")), PROTOCOL_ERROR),
    "another stream's headers within a block": (within(frame(HEADERS, END_HEADERS, 3, b"")), PROTOCOL_ERROR),
    "empty continuations without end": (within(frame(CONTINUATION, 0, 1, b"") * 1000), ENHANCE_YOUR_CALM),
    "large continuations without end": (within(frame(CONTINUATION, 0, 1, bytes(16_384)) * 4), ENHANCE_YOUR_CALM),
    "data padded by more than there is": (
        lambda peer: peer.headers(1, HEALTH) + frame(DATA, PADDED, 1, b"\x05abcd"),
        PROTOCOL_ERROR,
    ),
    "data padded without saying how much": (
        lambda peer: peer.headers(1, HEALTH) + frame(DATA, PADDED, 1, b""),
        PROTOCOL_ERROR,
    ),
    "headers padded by more than there is": (block(b"\x05abcd", flags=END_HEADERS | PADDED), PROTOCOL_ERROR),
    "a priority within headers that is cut short": (
        block(b"\0\0\0\0", flags=END_HEADERS | PRIORITISED),
        FRAME_SIZE_ERROR,
    ),
    "a priority of stream 0": (raw(frame(PRIORITY, 0, 0, bytes(5))), PROTOCOL_ERROR),
    "a push that is neither on nor off": (raw(settings((ENABLE_PUSH, 2))), PROTOCOL_ERROR),
    "an initial window that is too large": (raw(settings((INITIAL_WINDOW_SIZE, 2**31))), FLOW_CONTROL_ERROR),
    "a largest frame that is too small": (raw(settings((MAX_FRAME_SIZE, 2**14 - 1))), PROTOCOL_ERROR),
    "a largest frame that is too large": (raw(settings((MAX_FRAME_SIZE, 2**24))), PROTOCOL_ERROR),
    "settings that are cut short": (raw(frame(SETTINGS, 0, 0, bytes(5))), FRAME_SIZE_ERROR),
    "settings acknowledged with settings": (raw(frame(SETTINGS, ACK, 0, bytes(6))), FRAME_SIZE_ERROR),
    "settings of a stream": (raw(frame(SETTINGS, 0, 1, b"")), PROTOCOL_ERROR),
    "a ping of 7 bytes": (raw(frame(PING, 0, 0, bytes(7))), FRAME_SIZE_ERROR),
    "a ping of a stream": (raw(frame(PING, 0, 1, bytes(8))), PROTOCOL_ERROR),
    "too many pings": (raw(frame(PING, 0, 0, bytes(8)) * 10), ENHANCE_YOUR_CALM),
    "a credit of nothing": (raw(window_update(0, 0)), PROTOCOL_ERROR),
    "a credit of 3 bytes": (raw(frame(WINDOW_UPDATE, 0, 0, bytes(3))), FRAME_SIZE_ERROR),
    "a window of the connection that overflows": (raw(window_update(0, 2**31 - 1)), FLOW_CONTROL_ERROR),
    "a credit of an idle stream": (raw(window_update(1, 1)), PROTOCOL_ERROR),
    "a window that overflows by settings": (
        watched(window_update(1, 2**31 - 1 - WINDOW), settings((INITIAL_WINDOW_SIZE, WINDOW + 1))),
        FLOW_CONTROL_ERROR,
    ),
    "a reset of stream 0": (raw(frame(RST_STREAM, 0, 0, bytes(4))), PROTOCOL_ERROR),
    "a reset of an idle stream": (raw(frame(RST_STREAM, 0, 1, bytes(4))), PROTOCOL_ERROR),
    "a reset of 3 bytes": (watched(frame(RST_STREAM, 0, 1, bytes(3))), FRAME_SIZE_ERROR),
    "a promise": (watched(frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4))), PROTOCOL_ERROR),
    "a farewell of a stream": (raw(frame(GOAWAY, 0, 1, bytes(8))), PROTOCOL_ERROR),
    "a farewell that is cut short": (raw(frame(GOAWAY, 0, 0, bytes(7))), FRAME_SIZE_ERROR),
    "an index that nothing stands at": (block(b"\xbf"), COMPRESSION_ERROR),
    "index 0": (block(b"\x80"), COMPRESSION_ERROR),
    "a literal that is cut short": (block(b"\x00\x05ab"), COMPRESSION_ERROR),
    "a number that does not end": (block(b"\xff" * 50), COMPRESSION_ERROR),
    "a huge number that does not end": (block(b"\xff" * 16_000), COMPRESSION_ERROR),
    "a Huffman code that is none": (block(b"\x00\x84\xff\xff\xff\xff\x00"), COMPRESSION_ERROR),
    "a table larger than we allow": (block(b"\x3f\xe2\x1f"), COMPRESSION_ERROR),
    "a table resized among fields": (block(b"\x82\x20"), COMPRESSION_ERROR),
    "a small block of many fields": (bomb, ENHANCE_YOUR_CALM),
}


@pytest.mark.parametrize("name", ABUSES)
async def test_what_breaks_the_protocol_ends_the_connection_with_its_reason_and_no_other(start, name):
    address = await address_of(start)
    abuse, code = ABUSES[name]
    async with connected(address) as bystander:
        bystander.send(bystander.call(1, WATCH))
        await bystander.find(DATA, stream=1)
        greeting = PREFACE + (settings() if abuse else frame(PING, 0, 0, bytes(8)))
        async with connected(address, greeting) as peer:
            if abuse:
                peer.send(abuse(peer))
            assert (await peer.farewell()).code == code
        bystander.send(bystander.call(3))
        _, data, _ = await bystander.answer(3)
        assert data == SERVING
    await assert_serving(address)


@pytest.mark.parametrize("greeting", [b"GET / HTTP/1.1\r\n\r\n", b"PRX", PREFACE[:-1] + b"x", bytes(1000)])
async def test_whoever_does_not_speak_http2_is_told_so_at_once(start, greeting):
    address = await address_of(start)
    async with connected(address, greeting) as peer:
        assert (await peer.farewell()).code == PROTOCOL_ERROR
    await assert_serving(address)


@pytest.mark.parametrize("greeting", [b"", PREFACE[:10], PREFACE, PREFACE + settings()[:5]])
async def test_whoever_sends_no_settings_is_not_waited_for_for_ever(greeting):
    async with plain_server(bounds=Bounds(preface=0.1)) as plain, connected(plain.address, greeting) as peer:
        assert (await peer.farewell()).code == SETTINGS_TIMEOUT


async def test_whoever_answers_no_ping_is_given_up():
    bounds = Bounds(keepalive=0.1, keepalive_timeout=0.1)
    async with plain_server(bounds=bounds) as plain, connected(plain.address) as peer:
        assert (await peer.find(PING)).flags == 0
        await peer.gone()


async def test_whoever_answers_pings_stays():
    bounds = Bounds(keepalive=0.05, keepalive_timeout=0.5)
    async with plain_server(bounds=bounds) as plain, connected(plain.address) as peer:
        for _ in range(3):
            ping = await peer.find(PING)
            peer.send(frame(PING, ACK, 0, ping.payload))
        peer.send(peer.call(1, path("Echo"), b"there"))
        assert (await peer.answer())[1] == message(b"there")


# ---- what ends one stream, or nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("abuse", "code"),
    [
        (window_update(1, 0), PROTOCOL_ERROR),
        (window_update(1, 2**31 - 1), FLOW_CONTROL_ERROR),
        (frame(PRIORITY, 0, 1, bytes(4)), FRAME_SIZE_ERROR),
    ],
    ids=["a credit of nothing", "a window that overflows", "a priority that is cut short"],
)
async def test_a_stream_that_breaks_the_protocol_ends_or_its_connection_does(start, abuse, code):
    """RFC 9113 lets a server treat a stream's error as the connection's."""
    address = await address_of(start)
    async with connected(address) as peer:
        peer.send(peer.call(1, WATCH))
        await peer.find(DATA)
        peer.send(abuse)
        # An answer to this ping shows that nothing came of it.
        peer.send(frame(PING, 0, 0, b"nothing?"))
        while (found := await peer.frame()).kind not in (RST_STREAM, GOAWAY):
            assert found.kind != PING
        assert found.code == code
    await assert_serving(address)


async def test_a_ping_comes_back(start):
    async with connected(await address_of(start)) as peer:
        peer.send(frame(PING, 0, 0, b"12345678"))
        assert (await peer.find(PING)).payload == b"12345678"


async def test_an_answered_ping_is_not_answered(start):
    async with connected(await address_of(start)) as peer:
        peer.send(*[frame(PING, ACK, 0, bytes(8))] * 20, peer.call(1))
        while not (found := await peer.frame()).ends:
            assert found.kind != PING


async def test_pings_between_answers_are_not_too_many(start):
    async with connected(await address_of(start)) as peer:
        for stream in range(1, 41, 2):
            peer.send(frame(PING, 0, 0, bytes(8)), peer.call(stream))
            assert (await peer.answer(stream))[1] == SERVING


async def test_pings_between_messages_of_a_stream_are_not_too_many():
    """gRPC's clients measure a connection by a ping for data that they receive, however few header blocks come."""
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.headers(1, path("EchoStream")))
        for index in range(20):
            peer.send(frame(DATA, 0, 1, message(b"%d" % index)), frame(PING, 0, 0, bytes(8)))
            assert (await peer.both(DATA, PING))[DATA].payload == message(b"%d" % index)


async def test_settings_are_acknowledged(start):
    async with connected(await address_of(start)) as peer:
        assert (await peer.frame()).kind == SETTINGS  # the server's own come first, as they must
        await peer.find(SETTINGS, flags=ACK)
        peer.send(settings((HEADER_TABLE_SIZE, 100), (0xBEEF, 7)))
        await peer.find(SETTINGS, flags=ACK)


async def test_what_is_unknown_is_passed_over(start):
    async with connected(await address_of(start)) as peer:
        peer.send(frame(0xFA, 0xFF, 0, b"who"), frame(0x10, 0, 1, b"knows"), frame(PRIORITY, 0, 3, bytes(5)))
        peer.send(settings((0x77, 1)), peer.call(1))
        assert (await peer.answer())[1] == SERVING


async def test_the_reserved_bit_of_a_stream_is_passed_over(start):
    async with connected(await address_of(start)) as peer:
        peer.send(*[each[:5] + bytes((each[5] | 0x80,)) + each[6:] for each in (peer.headers(1, HEALTH),)])
        peer.send(frame(DATA, END_STREAM, 1, message()))
        assert (await peer.answer())[1] == SERVING


async def test_padding_and_priority_are_taken_off(start):
    async with connected(await address_of(start)) as peer:
        fields = peer.encoder.encode(call_fields(HEALTH))
        padded = b"\x03" + bytes(5) + fields + bytes(3)
        peer.send(frame(HEADERS, END_HEADERS | PADDED | PRIORITISED, 1, padded))
        peer.send(frame(DATA, PADDED, 1, b"\x02" + message()[:2] + bytes(2)))
        peer.send(frame(DATA, PADDED | END_STREAM, 1, b"\x00" + message()[2:]))
        assert (await peer.answer())[1] == SERVING


async def test_a_header_block_may_come_in_pieces(start):
    async with connected(await address_of(start)) as peer:
        fields = peer.encoder.encode(call_fields(HEALTH, [("x-long", "z" * 10_000)]), huffman=False)
        pieces = [fields[at : at + 1000] for at in range(0, len(fields), 1000)]
        peer.send(frame(HEADERS, 0, 1, pieces[0]))
        peer.send(*[frame(CONTINUATION, 0, 1, piece) for piece in pieces[1:]], frame(CONTINUATION, END_HEADERS, 1))
        peer.send(frame(DATA, END_STREAM, 1, message()))
        assert (await peer.answer())[1] == SERVING


async def test_bytes_may_come_one_at_a_time(start):
    async with connected(await address_of(start), b"") as peer:
        for byte in PREFACE + settings() + peer.call(1) + peer.call(3):
            peer.send(bytes((byte,)))
            await asyncio.sleep(0)  # lets the server read, so that it meets many of the places a frame can be cut at
        assert (await peer.answer(1))[1] == SERVING
        assert (await peer.answer(3))[1] == SERVING


async def test_bytes_may_come_all_at_once(start):
    async with connected(await address_of(start), b"") as peer:
        peer.send(PREFACE + settings(), *[peer.call(stream) for stream in range(1, 200, 2)])
        answered = {}
        while len(answered) < 100:
            if (found := await peer.frame()).kind == DATA:
                answered[found.stream] = found.payload
        assert set(answered.values()) == {SERVING}


async def test_a_call_that_is_reset_is_answered_no_more():
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Wait"), b"never"), peer.call(3, path("Echo"), b"a"))
        await peer.answer(3)
        peer.send(frame(RST_STREAM, 0, 1, CANCEL.to_bytes(4, "big")))
        peer.send(window_update(1, 1), frame(RST_STREAM, 0, 1, bytes(4)))  # of a stream that was: nothing
        peer.send(peer.call(5, path("Echo"), b"b"))
        while not (found := await peer.frame()).ends:
            assert found.stream == 5 or found.kind not in (DATA, HEADERS)
        assert (plain.waiting, plain.cancelled) == (0, 1)


async def test_a_thousand_streams_opened_and_reset_leave_nothing(start):
    running = await start()
    async with connected(running.server.address) as peer:
        for stream in range(1, 2001, 2):
            peer.send(peer.call(stream, WATCH), frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big")))
        peer.send(peer.call(2001))
        assert (await peer.answer(2001))[1] == SERVING
    await running.server.stop(grace_seconds=5.0)  # returns only when no call is left
    await assert_refused(running.server.address)


async def assert_refused(address):
    with pytest.raises(OSError):
        async with connected(address):
            pass


async def test_trailers_of_a_caller_end_its_stream():
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.headers(1, path("EchoStream")), frame(DATA, 0, 1, message(b"a")))
        await peer.find(DATA)
        peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, peer.encoder.encode([("x-sum", "1")])))
        assert (await peer.find(HEADERS, flags=END_STREAM)).fields["grpc-status"] == "0"


async def test_a_callers_farewell_leaves_its_calls_answered_and_then_ends_the_connection():
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.call(1, path("Wait"), b"late"), peer.call(3, path("Echo"), b"soon"))
        await peer.answer(3)
        peer.send(frame(GOAWAY, 0, 0, bytes(8)), frame(PING, 0, 0, bytes(8)))
        await peer.find(PING, flags=ACK)
        plain.opened.set()
        assert (await peer.answer(1))[1] == message(b"late")
        await peer.gone()


async def test_a_farewell_of_an_idle_caller_ends_the_connection(start):
    async with connected(await address_of(start)) as peer:
        peer.send(frame(GOAWAY, 0, 0, bytes(8) + b"bye"))
        await peer.gone()


# ---- header tables -------------------------------------------------------------------------------------------------


async def test_a_header_table_may_change_its_size(start):
    async with connected(await address_of(start)) as peer:
        for index, size in enumerate((4096, 100, 0, 4096, 50)):
            peer.encoder.header_table_size = size
            extra = [("x-request-id", f"call-{index}"), ("x-other", "w" * 60)]
            for stream in (4 * index + 1, 4 * index + 3):  # the second time as what is in the table by now
                peer.send(peer.call(stream, extra=extra))
                _, data, last = await peer.answer(stream)
                assert (data, last["x-request-id"]) == (SERVING, f"call-{index}")


async def test_blocks_of_calls_that_are_refused_still_count_for_the_table(start):
    """A server that skips a block reads every later one wrong."""
    async with connected(await address_of(start)) as peer:
        peer.send(peer.call(1, "/none.Such/Method", extra=[("x-request-id", "first")]))
        assert (await peer.answer(1))[2]["grpc-status"] == "12"
        peer.send(peer.call(3, extra=[("x-request-id", "first")]))
        assert (await peer.answer(3))[2]["x-request-id"] == "first"


async def test_a_peer_without_a_header_table_can_read_every_answer(start):
    async with connected(await address_of(start), PREFACE + settings((HEADER_TABLE_SIZE, 0))) as peer:
        peer.decoder.max_allowed_table_size = 0  # it takes no block before one has made the table as small
        for stream in (1, 3, 5):
            peer.send(peer.call(stream))
            assert (await peer.answer(stream))[1] == SERVING


async def test_h2_finds_no_fault_with_our_answers_without_a_header_table(start):
    async with h2_caller(await address_of(start)) as caller:
        caller.state.update_settings({h2.settings.SettingCodes.HEADER_TABLE_SIZE: 0})
        caller.flush()
        while caller.state.local_settings.header_table_size:  # until that has been acknowledged
            await caller.pump()
        for _ in range(3):
            answer = await caller.answer(caller.call())
            assert (answer.data, answer.status) == (SERVING, ("0", None))


# ---- flow control --------------------------------------------------------------------------------------------------


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
