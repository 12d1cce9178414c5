"""What peers may do by RFC 9113: streams, pings, farewells and header tables."""

from __future__ import annotations

import asyncio

import h2.events
import h2.settings
import pytest

from tests.service.http2.peers import (
    ACK,
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADER_TABLE_SIZE,
    HEADERS,
    HEALTH,
    PADDED,
    PING,
    PREFACE,
    PRIORITISED,
    PRIORITY,
    PROTOCOL_ERROR,
    RST_STREAM,
    SERVING,
    SETTINGS,
    WATCH,
    address_of,
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


# ---- header tables -----------------------------------------------------------------------------------------------


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


async def test_the_last_stream_that_is_told_never_grows():
    """RFC 9113, section 6.8: what was told before may have been tried elsewhere already."""
    async with plain_server() as plain, connected(plain.address) as peer:
        peer.send(peer.headers(1, path("Echo")))
        await peer.find(SETTINGS, flags=ACK)
        (connection,) = plain.server._connections
        connection.drain()
        ping = await peer.find(PING)
        peer.send(frame(PING, ACK, 0, ping.payload))
        last = await peer.find(GOAWAY)
        peer.send(peer.headers(3, path("Echo")), frame(DATA, 0, 0, b"x"))
        farewell = await peer.farewell()
    assert (last.payload[:4], farewell.payload[:4], farewell.code) == ((1).to_bytes(4, "big"),) * 2 + (PROTOCOL_ERROR,)
