"""Peers that break the rules of RFC 9113, or say nothing: each is told why, and the next is served."""

from __future__ import annotations

import hpack
import pytest

from explaind.service.http2.connection import Bounds
from tests.service.http2.peers import (
    ACK,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    ENABLE_PUSH,
    END_HEADERS,
    END_STREAM,
    ENHANCE_YOUR_CALM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    HEALTH,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    PREFACE,
    PRIORITISED,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SERVING,
    SETTINGS,
    SETTINGS_TIMEOUT,
    STREAM_CLOSED,
    WATCH,
    WINDOW,
    WINDOW_UPDATE,
    address_of,
    assert_serving,
    connected,
    frame,
    message,
    settings,
    window_update,
)
from tests.service.rpc.plain_server import path, plain_server

pytestmark = pytest.mark.asyncio


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
        watched(window_update(1, 2**31 - 1 - WINDOW), settings((INITIAL_WINDOW_SIZE, WINDOW + 100))),
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
