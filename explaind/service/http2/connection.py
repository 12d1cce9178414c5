"""The server's side of one HTTP/2 connection (RFC 9113): frames, streams, flow control, and its end.

It knows nothing of gRPC. What a peer does wrong ends its connection with the reason in GOAWAY, or the one stream that
it concerns; what it does too much of is bounded: header blocks, unread answers (a peer that does not read is not read
from), pings.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import structlog

from explaind.service.http2 import frames
from explaind.service.http2.fields import FIRST, MOST_TOLD_BYTES, FieldReader, Fields
from explaind.service.http2.frames import BrokenProtocol, ErrorCode
from explaind.service.http2.header_blocks import Block, BlockReader, unpadded
from explaind.service.http2.pings import PingLimit
from explaind.service.http2.stream import RECEIVE_WINDOW, Receiver, Stream

log = structlog.get_logger(__name__)

CONNECTION_WINDOW = 16 * 1024 * 1024
"""Bytes of all streams that a peer may send before they are credited, which they are as they come: each stream has a
window of its own."""
MOST_UNREAD_BYTES = 1024 * 1024
"""Of answers that the system has not taken from us yet; with more, nothing is read from that peer."""
MOST_STREAMS = 1000
"""Of one connection at once; a peer that knows it keeps further calls to itself. Fewer: a burst of calls takes several
connections; more: one peer may take all the room for open calls, and what concerns each stream takes longer."""
MOST_READ_BYTES = 32 * 1024
"""In one turn of the loop from one peer: others wait for what comes of them."""
AGE_JITTER = 0.1
"""Connections that were made together do not all end together."""
LAST_CALL_SECONDS = 5.0
"""How long a peer that is asked to go may take to answer before what it has sent by then counts as its last."""
LAST_BYTES_SECONDS = 2.0
"""How long a peer may take to read what was sent to it before its connection ended."""
DRAIN_PING = b"explaind"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a connection is held to, in seconds. preface: until its first settings. keepalive: without a word, until a
    ping; keepalive_timeout: from that ping until it is given up. least_ping: between two of the peer's pings. age:
    after which it is asked to connect anew, its streams under way going on."""

    preface: float = 20.0
    keepalive: float = 30.0
    keepalive_timeout: float = 10.0
    least_ping: float = 9.0  # callers say 10, by clocks of their own
    age: float = 300.0


class Application(Protocol):
    """What answers."""

    def opened(self, connection: Connection) -> None: ...

    def closed(self, connection: Connection) -> None: ...

    def request(self, stream: Stream, fields: Fields) -> Receiver:
        """A stream's first fields have come."""


class Connection(asyncio.Protocol):
    """One peer."""

    def __init__(self, application: Application, bounds: Bounds) -> None:
        self.streams: dict[int, Stream] = {}
        self.send_window = frames.DEFAULT_WINDOW
        self.max_frame = frames.SMALLEST_MAX_FRAME
        self.writable = True
        self.peer = ""
        self._application = application
        self._bounds = bounds
        self._buffer = b""
        self._greeted = self._settled = False
        self._fields = FieldReader()
        self._first_block = True
        self._blocks = BlockReader()
        self._last_stream = 0
        self._refuse_above = frames.LARGEST_STREAM
        self._stream_window = frames.DEFAULT_WINDOW
        self._receive_window = CONNECTION_WINDOW
        self._held_up: dict[int, Stream] = {}
        self._heard = False
        self._unread = 0
        self._pings = PingLimit(bounds.least_ping)
        self.answering = self._pings.answering
        self._draining = self._closing = self._peer_leaves = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._handlers: dict[int, Callable[[int, int, bytes], None]] = {
            frames.DATA: self._on_data,
            frames.HEADERS: self._on_headers,
            frames.PRIORITY: self._on_priority,
            frames.RST_STREAM: self._on_reset,
            frames.SETTINGS: self._on_settings,
            frames.PUSH_PROMISE: self._on_push_promise,
            frames.PING: self._on_ping,
            frames.GOAWAY: self._on_go_away,
            frames.WINDOW_UPDATE: self._on_window_update,
            frames.CONTINUATION: self._on_continuation,
        }

    # ---- the transport ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=MOST_UNREAD_BYTES)
        cast(Any, self._transport).max_size = MOST_READ_BYTES  # asyncio's own: 256 KiB
        self._loop = asyncio.get_running_loop()
        self.peer = _address(self._transport.get_extra_info("peername"))
        self._application.opened(self)
        self.send(
            frames.settings(
                {
                    frames.MAX_CONCURRENT_STREAMS: MOST_STREAMS,
                    frames.INITIAL_WINDOW_SIZE: RECEIVE_WINDOW,
                    frames.MAX_HEADER_LIST_SIZE: MOST_TOLD_BYTES,
                }
            )
        )
        self.send(frames.window_update(0, CONNECTION_WINDOW - frames.DEFAULT_WINDOW))
        self._later("preface", self._bounds.preface, self._never_greeted)
        self._later("keepalive", self._bounds.keepalive, self._ask_for_life)
        self._later("age", self._bounds.age * random.uniform(1 - AGE_JITTER, 1 + AGE_JITTER), self.drain)

    def connection_lost(self, error: Exception | None) -> None:
        self._closing = True
        for timer in self._timers.values():
            timer.cancel()
        for stream in list(self.streams.values()):
            stream.lost()
        self._application.closed(self)

    def pause_writing(self) -> None:
        self.writable = False
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self.writable = True
        if not self._closing:
            self._transport.resume_reading()
        for stream in list(self.streams.values()):
            stream.wake()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._heard = True
        try:
            self._read(self._buffer + data if self._buffer else data)
        except BrokenProtocol as error:
            self._fail(error)

    def send(self, data: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """As soon as what was sent has left; streams that are open are lost."""
        if self._transport.is_closing():
            return
        self._closing = True
        self._transport.close()
        # A peer that does not read would hold it for ever.
        self._later("close", LAST_BYTES_SECONDS, self._transport.abort)

    # ---- its end ---------------------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Asks the peer to go elsewhere. What it has begun goes on, and so does what it begins before it has read this:
        only then the last stream is known."""
        if self._draining or self._closing:
            return
        self._draining = True
        self.send(frames.go_away(frames.LARGEST_STREAM, ErrorCode.NO_ERROR, "connect anew"))
        self.send(frames.frame(frames.PING, 0, 0, DRAIN_PING))
        self._later("last call", LAST_CALL_SECONDS, self._take_no_more)

    def _take_no_more(self) -> None:
        if self._refuse_above == frames.LARGEST_STREAM and not self._closing:
            self._refuse_above = self._last_stream
            self.send(frames.go_away(self._last_stream, ErrorCode.NO_ERROR, "connect anew"))
            self._close_if_done()

    def _close_if_done(self) -> None:
        known = self._peer_leaves or self._refuse_above != frames.LARGEST_STREAM
        if known and not self.streams and not self._closing:
            self.close()

    def _fail(self, error: BrokenProtocol) -> None:
        log.info("connection broken off", peer=self.peer, code=error.code.name, why=error.text)
        self.send(frames.go_away(min(self._last_stream, self._refuse_above), error.code, error.text))
        self.close()

    def _never_greeted(self) -> None:
        if not self._settled:
            self._fail(BrokenProtocol(ErrorCode.SETTINGS_TIMEOUT, "no settings came"))

    def _ask_for_life(self) -> None:
        """A peer that has been silent is asked, and given up where it stays so."""
        if self._alive():
            self._heard = False
            self._later("keepalive", self._bounds.keepalive, self._ask_for_life)
            return
        self.send(frames.frame(frames.PING, 0, 0, bytes(8)))
        self._later("keepalive", self._bounds.keepalive_timeout, self._give_up)

    def _alive(self) -> bool:
        """It has said something, or taken some of what waits for it: it is not read from meanwhile."""
        before, self._unread = self._unread, self._transport.get_write_buffer_size()
        return self._heard or self._unread < before

    def _give_up(self) -> None:
        if self._alive():
            self._ask_for_life()
            return
        log.info("connection lost", peer=self.peer, why="it answers no ping")
        self._transport.abort()

    def _later(self, name: str, seconds: float, call: Callable[[], None]) -> None:
        if name in self._timers:
            self._timers[name].cancel()
        self._timers[name] = self._loop.call_later(seconds, call)

    # ---- streams ---------------------------------------------------------------------------------------------------

    def forget(self, stream: Stream) -> None:
        self.streams.pop(stream.number, None)
        self._held_up.pop(stream.number, None)
        if self._draining:
            self._close_if_done()

    def held_up(self, stream: Stream) -> None:
        """It has data that the windows do not let through."""
        self._held_up[stream.number] = stream

    def fields_frames(self, stream: int, block: bytes, *, end_stream: bool = False) -> bytes:
        """To be sent at once: the first block of a connection differs."""
        self.answering()
        if self._first_block:
            self._first_block = False
            block = FIRST + block
        return frames.header_block(stream, block, end_stream=end_stream, max_frame=self.max_frame)

    # ---- reading ---------------------------------------------------------------------------------------------------

    def _read(self, data: bytes) -> None:
        at = 0
        if not self._greeted:
            at = self._greet(data)
        size, unpack, handlers = len(data), frames.HEAD.unpack_from, self._handlers
        while self._greeted and size - at >= 9 and not self._closing:
            upper, lower, kind, flags, number = unpack(data, at)
            length = upper << 8 | lower
            if length > frames.SMALLEST_MAX_FRAME:
                raise BrokenProtocol(ErrorCode.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            end = at + 9 + length
            if end > size:
                break
            if self._blocks.begun is not None and kind != frames.CONTINUATION:
                raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, "another frame within a header block")
            if not self._settled and kind != frames.SETTINGS:
                raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, "no settings first")
            if (handler := handlers.get(kind)) is not None:  # unknown ones are to be ignored
                number &= frames.LARGEST_STREAM
                frames.check(kind, number, length)
                handler(flags, number, data[at + 9 : end])
            at = end
        self._buffer = data[at:]

    def _greet(self, data: bytes) -> int:
        """How much of `data` was the preface."""
        expected = frames.PREFACE
        if data[: len(expected)] != expected[: len(data)]:
            raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, "no HTTP/2 preface")
        self._greeted = len(data) >= len(expected)
        return len(expected) if self._greeted else 0

    def _on_data(self, flags: int, number: int, payload: bytes) -> None:
        size = len(payload)
        self._receive_window -= size
        if self._receive_window < CONNECTION_WINDOW // 2:
            if self._receive_window < 0:
                raise BrokenProtocol(ErrorCode.FLOW_CONTROL_ERROR, "more data than the connection's window")
            self.send(frames.window_update(0, CONNECTION_WINDOW - self._receive_window))
            self._receive_window = CONNECTION_WINDOW
        stream = self.streams.get(number)
        if stream is None:
            self._raise_if_idle(number, "data")
            return  # sent before the peer knew of the stream's end
        if stream.remote_ended:
            raise BrokenProtocol(ErrorCode.STREAM_CLOSED, f"data after the end of stream {number}")
        stream.received(size)
        receiver = cast(Receiver, stream.receiver)
        stream.remote_ended = bool(flags & frames.END_STREAM)
        if data := unpadded(flags, payload):
            self._tell(stream, lambda: receiver.data(data))
        elif size:
            stream.credit()
        if flags & frames.END_STREAM:
            self._tell(stream, receiver.ended)

    def _on_headers(self, flags: int, number: int, payload: bytes) -> None:
        if number % 2 == 0:
            raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, f"a header block on stream {number}")
        if (block := self._blocks.begin(flags, number, payload)) is not None:
            self._take_block(block)

    def _on_continuation(self, flags: int, number: int, payload: bytes) -> None:
        if (block := self._blocks.go_on(flags, number, payload)) is not None:
            self._take_block(block)

    def _take_block(self, block: Block) -> None:
        number, ended = block.stream, block.ended
        fields = self._fields.read(block.data)  # whatever becomes of it: the next blocks build on it
        if number <= self._last_stream:
            self._take_trailers(number, ended=ended)
            return
        self._last_stream = number
        if number > self._refuse_above or len(self.streams) >= MOST_STREAMS:
            self.send(frames.reset(number, ErrorCode.REFUSED_STREAM))
            return
        stream = Stream(self, number, send_window=self._stream_window)
        stream.remote_ended = ended
        self.streams[number] = stream
        self._tell(stream, lambda: self._begin(stream, fields, ended=ended))

    def _begin(self, stream: Stream, fields: Fields, *, ended: bool) -> None:
        stream.receiver = receiver = self._application.request(stream, fields)
        if ended:
            receiver.ended()

    def _take_trailers(self, number: int, *, ended: bool) -> None:
        stream = self.streams.get(number)
        if stream is None and ended:
            return  # of a stream that has ended here
        if stream is not None and stream.remote_ended:
            raise BrokenProtocol(ErrorCode.STREAM_CLOSED, f"a header block after the end of stream {number}")
        if stream is None or not ended:
            raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, f"a second header block on stream {number}")
        stream.remote_ended = True
        self._tell(stream, cast(Receiver, stream.receiver).ended)

    def _tell(self, stream: Stream, what: Callable[[], None]) -> None:
        """A mistake of ours costs one stream, not the connection."""
        try:
            what()
        except Exception as error:
            log.error("unexpected error", exc_info=error)
            receiver = stream.receiver
            stream.reset(ErrorCode.INTERNAL_ERROR)
            if receiver is not None:
                receiver.reset()

    def _on_reset(self, flags: int, number: int, payload: bytes) -> None:
        if (stream := self.streams.get(number)) is not None:
            stream.lost()
        else:
            self._raise_if_idle(number, "a reset")

    def _on_priority(self, flags: int, number: int, payload: bytes) -> None:
        """Deprecated, and to be ignored."""

    def _on_push_promise(self, flags: int, number: int, payload: bytes) -> None:
        raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, "a client promises nothing")

    def _on_settings(self, flags: int, number: int, payload: bytes) -> None:
        if len(payload) % 6 or (flags & frames.ACK and payload):
            raise BrokenProtocol(ErrorCode.FRAME_SIZE_ERROR, f"settings of {len(payload)} bytes")
        if flags & frames.ACK:
            return
        self._settled = True
        self.send(frames.frame(frames.SETTINGS, frames.ACK, 0))  # before what they let through
        # The last of each kind: a window concerns every stream, and a frame has room for thousands of them.
        for identifier, value in dict(frames.SETTING.iter_unpack(payload)).items():
            self._set(identifier, value)

    def _set(self, identifier: int, value: int) -> None:
        if identifier == frames.INITIAL_WINDOW_SIZE:
            if value > frames.LARGEST_WINDOW:
                raise BrokenProtocol(ErrorCode.FLOW_CONTROL_ERROR, "an initial window over 2^31 - 1")
            change, self._stream_window = value - self._stream_window, value
            for stream in list(self.streams.values()):
                stream.widen(change)
        elif identifier == frames.MAX_FRAME_SIZE:
            if not frames.SMALLEST_MAX_FRAME <= value <= frames.LARGEST_MAX_FRAME:
                raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, f"a largest frame of {value} bytes")
            self.max_frame = value
        elif identifier == frames.ENABLE_PUSH and value > 1:
            raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1")

    def _on_ping(self, flags: int, number: int, payload: bytes) -> None:
        if flags & frames.ACK:
            if payload == DRAIN_PING and self._draining:
                self._take_no_more()
            return
        self.send(frames.frame(frames.PING, frames.ACK, 0, payload))
        if self._pings.exceeded(self._loop.time()):
            raise BrokenProtocol(ErrorCode.ENHANCE_YOUR_CALM, "too_many_pings")

    def _on_go_away(self, flags: int, number: int, payload: bytes) -> None:
        """The peer leaves when all is answered."""
        if len(payload) < 8:
            raise BrokenProtocol(ErrorCode.FRAME_SIZE_ERROR, "a farewell of less than 8 bytes")
        self._draining = self._peer_leaves = True
        self._close_if_done()

    def _on_window_update(self, flags: int, number: int, payload: bytes) -> None:
        credit = int.from_bytes(payload, "big") & frames.LARGEST_WINDOW
        if credit == 0:
            raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, "a credit of 0")
        if number == 0:
            self._widen(credit)
        elif (stream := self.streams.get(number)) is not None:
            stream.widen(credit)
        else:
            self._raise_if_idle(number, "a credit")

    def _widen(self, credit: int) -> None:
        self.send_window += credit
        if self.send_window > frames.LARGEST_WINDOW:
            raise BrokenProtocol(ErrorCode.FLOW_CONTROL_ERROR, "a window of the connection over 2^31 - 1")
        while self._held_up and self.send_window > 0:
            self._held_up.pop(next(iter(self._held_up))).flush()

    def _raise_if_idle(self, number: int, what: str) -> None:
        if number == 0 or number % 2 == 0 or number > self._last_stream:
            raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, f"{what} on stream {number}, which was never opened")


def _address(name: object) -> str:
    """As gRPC tells of a peer."""
    if isinstance(name, tuple) and len(name) == 2:
        return f"ipv4:{name[0]}:{name[1]}"
    if isinstance(name, tuple) and len(name) == 4:
        return f"ipv6:[{name[0]}]:{name[1]}"
    return "unknown"
