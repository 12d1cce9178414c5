"""Peers that do what a test tells them and nothing else: frames as bytes, and the h2 package, which is not ours.

What is waited for and does not come fails the test within `HANG` seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import h2.config
import h2.connection
import h2.events
import hpack

HANG = 10

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, PRIORITISED = 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR = range(
    7
)
REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, ENHANCE_YOUR_CALM = range(7, 12)

HEADER_TABLE_SIZE, ENABLE_PUSH, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE = 1, 2, 4, 5
WINDOW = 65_535
"""Of a stream and of a connection, where nothing is said."""

HEALTH, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"

Pairs = Iterable[tuple[str, str]]
PeerT = TypeVar("PeerT", bound="Peer")


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, payload=b"".join(struct.pack(">HL", *pair) for pair in pairs))


def window_update(stream: int, credit: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, credit.to_bytes(4, "big"))


def message(data: bytes = b"", mark: int = 0) -> bytes:
    return bytes((mark,)) + len(data).to_bytes(4, "big") + data


EMPTY_MESSAGE = message()
SERVING = message(b"\x08\x01")
"""What health answers."""


async def address_of(start: Callable[..., Any]) -> str:
    """Of a server that is started with it."""
    address: str = (await start()).server.address
    return address


def call_fields(path: str, extra: Pairs = (), *, method: str = "POST", content_type: str = "application/grpc"):
    return [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "test"),
        ("te", "trailers"),
        ("content-type", content_type),
        *extra,
    ]


@dataclass(frozen=True)
class Frame:
    """fields: of HEADERS, whose CONTINUATIONs are joined to them."""

    kind: int
    flags: int
    stream: int
    payload: bytes
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def ends(self) -> bool:
        return self.kind in (DATA, HEADERS) and bool(self.flags & END_STREAM)

    @property
    def code(self) -> int:
        """Of GOAWAY and RST_STREAM."""
        return int.from_bytes(self.payload[4:8] if self.kind == GOAWAY else self.payload, "big")


class Gone(Exception):
    """The server has ended the connection."""


class Peer:
    """Frame by frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    def headers(self, stream: int, path: str, extra: Pairs = (), *, flags: int = END_HEADERS) -> bytes:
        return frame(HEADERS, flags, stream, self.encoder.encode(call_fields(path, extra)))

    def call(self, stream: int, path: str = HEALTH, data: bytes = b"", extra: Pairs = ()) -> bytes:
        """A whole one, of a single message."""
        return self.headers(stream, path, extra) + frame(DATA, END_STREAM, stream, message(data))

    async def frame(self) -> Frame:
        """The next one. Raises Gone."""
        try:
            async with asyncio.timeout(HANG):
                found = await self._frame()
                while found.kind == HEADERS and not found.flags & END_HEADERS:
                    rest = await self._frame()
                    assert (rest.kind, rest.stream) == (CONTINUATION, found.stream), "a header block is interrupted"
                    flags = found.flags | rest.flags & END_HEADERS
                    found = Frame(HEADERS, flags, found.stream, found.payload + rest.payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise Gone from None
        if found.kind != HEADERS:
            return found
        return Frame(HEADERS, found.flags, found.stream, found.payload, dict(self.decoder.decode(found.payload)))

    async def _frame(self) -> Frame:
        head = await self.reader.readexactly(9)
        payload = await self.reader.readexactly(int.from_bytes(head[:3], "big"))
        return Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)

    async def find(self, kind: int, *, stream: int | None = None, flags: int = 0) -> Frame:
        """The next frame of that kind; what comes before it is passed over."""
        while True:
            found = await self.frame()
            if found.kind == kind and stream in (None, found.stream) and found.flags & flags == flags:
                return found

    async def both(self, *kinds: int) -> dict[int, Frame]:
        """The first frame of each kind, in whatever order they come."""
        found: dict[int, Frame] = {}
        while len(found) < len(kinds):
            each = await self.frame()
            if each.kind in kinds:
                found.setdefault(each.kind, each)
        return found

    async def farewell(self) -> Frame:
        """The GOAWAY after which the server has ended the connection."""
        last = None
        with contextlib.suppress(Gone):
            while True:
                found = await self.frame()
                last = found if found.kind == GOAWAY else last
        assert last is not None, "the connection ended without a reason"
        return last

    async def gone(self) -> None:
        """Until the server has ended the connection."""
        with contextlib.suppress(Gone):
            while True:
                await self.frame()

    async def answer(self, stream: int = 1) -> tuple[dict[str, str], bytes, dict[str, str]]:
        """First fields, data and last fields of a stream that nobody resets; the last are the first where there is
        nothing else."""
        first, data = None, b""
        while True:
            found = await self.frame()
            if found.stream != stream:
                continue
            assert found.kind != RST_STREAM, f"reset with {found.code}"
            data += found.payload if found.kind == DATA else b""
            if found.kind == HEADERS:
                first = first if first is not None else found.fields
            if found.ends:
                return first or {}, data, found.fields


@dataclass
class Heard:
    """What came on one stream: the fields of each block, the data, and how it ended."""

    blocks: list[dict[str, str]] = field(default_factory=list)
    data: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> str:
        return self.blocks[-1]["grpc-status"]


class NotingPeer(Peer):
    """Keeps what came on each stream, in whatever order it came."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self.heard: list[Frame] = []
        self.answers: dict[int, Heard] = {}

    def request(self, stream: int, path: str = HEALTH, *, leave_out: str = "", **fields: str) -> bytes:
        """A call's first block. fields: others, or other values; underscores stand for hyphens, a first one for a
        colon."""
        named = {(":" + name[1:] if name[0] == "_" else name.replace("_", "-")): each for name, each in fields.items()}
        head = dict(call_fields(path)) | named
        head.pop(leave_out, None)
        return frame(HEADERS, END_HEADERS, stream, self.encoder.encode(list(head.items())))

    def whole(self, stream: int, path: str = HEALTH, data: bytes = EMPTY_MESSAGE, **fields: str) -> bytes:
        """A call, and `data` as it is."""
        return self.request(stream, path, **fields) + frame(DATA, END_STREAM, stream, data)

    async def hear(self) -> Frame | None:
        """The next frame; None at the end of the connection."""
        try:
            heard = await self.frame()
        except Gone:
            return None
        self.heard.append(heard)
        self._note(heard)
        return heard

    async def until(self, condition: Callable[[Frame], bool]) -> Frame:
        while (heard := await self.hear()) is not None:
            if condition(heard):
                return heard
        raise AssertionError(f"the connection ended before it came: {self.heard[-3:]}")

    async def outcome(self, stream: int) -> Heard:
        """As soon as it has ended."""
        while not (self.answers.get(stream) and (self.answers[stream].ended or self.answers[stream].reset is not None)):
            assert await self.hear() is not None, f"the connection ended: {self.heard[-3:]}"
        return self.answers[stream]

    def _note(self, heard: Frame) -> None:
        if not heard.stream or heard.kind == WINDOW_UPDATE:
            return
        answer = self.answers.setdefault(heard.stream, Heard())
        if heard.kind == DATA:
            answer.data += heard.payload
        elif heard.kind == HEADERS:
            answer.blocks.append(heard.fields)
        elif heard.kind == RST_STREAM:
            answer.reset = heard.code
        answer.ended |= heard.ends


@contextlib.asynccontextmanager
async def connected(
    address: str, greeting: bytes = PREFACE + settings(), kind: type[PeerT] = Peer
) -> AsyncIterator[PeerT]:
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        peer = kind(reader, writer)
        peer.send(greeting)
        yield peer
    finally:
        await _closed(writer)


async def assert_serving(address: str) -> None:
    """To a new connection, whatever another one has done."""
    async with connected(address) as peer:
        peer.send(peer.call(1))
        _, data, last = await peer.answer()
    assert (data, last["grpc-status"]) == (message(b"\x08\x01"), "0")


@dataclass
class Answer:
    """fields: the first; trailers: the last, which are the first where there is nothing else."""

    fields: dict[str, str] = field(default_factory=dict)
    data: bytearray = field(default_factory=bytearray)
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> tuple[str | None, str | None]:
        last = self.trailers or self.fields
        return last.get("grpc-status"), last.get("grpc-message")


class H2Caller:
    """crediting: whether what was received may come again at once."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, crediting: bool) -> None:
        self.reader, self.writer, self.crediting = reader, writer, crediting
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.answers: dict[int, Answer] = {}
        self.events: list[h2.events.Event] = []
        self._held = False

    def flush(self) -> None:
        if not self._held:
            self.writer.write(self.state.data_to_send())

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """What is sent within leaves in one piece."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
            self.flush()

    def begin(self, path: str = HEALTH, extra: Pairs = (), *, end: bool = False, **fields: str) -> int:
        stream = self.state.get_next_available_stream_id()
        self.answers[stream] = Answer()
        self.state.send_headers(stream, call_fields(path, extra, **fields), end_stream=end)
        self.flush()
        return stream

    def call(self, path: str = HEALTH, data: bytes = b"", extra: Pairs = ()) -> int:
        stream = self.begin(path, extra)
        self.state.send_data(stream, message(data), end_stream=True)
        self.flush()
        return stream

    async def upload(self, stream: int, data: bytes) -> None:
        """As the server's windows allow, and the stream's end."""
        at = 0
        while at < len(data):
            room = min(self.state.local_flow_control_window(stream), self.state.max_outbound_frame_size)
            if not room:
                await self.pump()
                continue
            self.state.send_data(stream, data[at : at + room])
            at += room
            self.flush()
        self.state.end_stream(stream)
        self.flush()

    async def pump(self) -> list[h2.events.Event]:
        """What comes next. Raises Gone."""
        async with asyncio.timeout(HANG):
            data = await self.reader.read(65_536)
        if not data:
            raise Gone
        events = self.state.receive_data(data)
        for event in events:
            self._note(event)
        self.events += events
        self.flush()
        return events

    async def answer(self, stream: int) -> Answer:
        answer = self.answers[stream]
        while not answer.ended and answer.reset is None:
            await self.pump()
        return answer

    def _note(self, event: h2.events.Event) -> None:
        if (answer := self.answers.get(getattr(event, "stream_id", None) or 0)) is None:
            return
        if isinstance(event, h2.events.ResponseReceived):
            answer.fields = dict(event.headers)
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answer.data += event.data
            if self.crediting and event.flow_controlled_length:
                self.state.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset) and not answer.ended:
            answer.reset = event.error_code


@contextlib.asynccontextmanager
async def h2_caller(address: str, *, crediting: bool = True) -> AsyncIterator[H2Caller]:
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        caller = H2Caller(reader, writer, crediting=crediting)
        caller.state.initiate_connection()
        caller.flush()
        yield caller
    finally:
        await _closed(writer)


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
