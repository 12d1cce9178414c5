"""A peer that speaks HTTP/2 frame by frame, so that it can also speak it wrongly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from hpack import Decoder, Encoder

from explaind.service.http2 import frames

CHECK = "/grpc.health.v1.Health/Check"
EMPTY_MESSAGE = bytes(5)
PATIENCE = 20.0


@dataclass
class Frame:
    kind: int
    flags: int
    stream: int
    payload: bytes


@dataclass
class Answer:
    """What came on one stream: fields of the first block and of the last, and the data between."""

    blocks: list[dict[str, str]] = field(default_factory=list)
    data: bytes = b""
    ended: bool = False
    reset: int | None = None

    @property
    def status(self) -> str:
        return self.blocks[-1]["grpc-status"]


class Peer:
    """Reads everything there is and answers nothing by itself."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.encoder, self._decoder = Encoder(), Decoder()
        self.heard: list[Frame] = []
        self.answers: dict[int, Answer] = {}

    @classmethod
    async def connect(cls, address: str, *, settings: dict[int, int] | None = None, greet: bool = True) -> Peer:
        host, port = address.rsplit(":", 1)
        peer = cls(*await asyncio.open_connection(host, int(port)))
        if greet:
            await peer.send(frames.PREFACE + frames.settings(settings or {}))
        return peer

    async def send(self, data: bytes) -> None:
        self._writer.write(data)
        await self._writer.drain()

    def request(
        self, stream: int, path: str = CHECK, *, end: bool = False, leave_out: str = "", **fields: str
    ) -> bytes:
        """A call's first block. fields: others, or other values; underscores stand for hyphens."""
        head = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "here", "te": "trailers"}
        head |= {"content-type": "application/grpc"} | {
            (":" + name[1:] if name.startswith("_") else name.replace("_", "-")): value
            for name, value in fields.items()
        }
        head.pop(leave_out, None)
        block = self.encoder.encode(list(head.items()))
        return frames.header_block(stream, block, end_stream=end, max_frame=16384)

    def call(self, stream: int, path: str = CHECK, message: bytes = EMPTY_MESSAGE, **fields: str) -> bytes:
        """A whole one."""
        return self.request(stream, path, **fields) + frames.frame(frames.DATA, frames.END_STREAM, stream, message)

    async def hear(self) -> Frame | None:
        """The next frame; None at the end of the connection."""
        try:
            async with asyncio.timeout(PATIENCE):
                head = await self._reader.readexactly(9)
                upper, lower, kind, flags, stream = frames.HEAD.unpack(head)
                heard = Frame(kind, flags, stream, await self._reader.readexactly(upper << 8 | lower))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        self.heard.append(heard)
        self._note(heard)
        return heard

    async def until(self, condition: Callable[[Frame], bool]) -> Frame:
        while (heard := await self.hear()) is not None:
            if condition(heard):
                return heard
        raise AssertionError(f"the connection ended before it came: {self.heard[-3:]}")

    async def answer(self, stream: int) -> Answer:
        """As soon as it has ended."""
        while not (self.answers.get(stream) and (self.answers[stream].ended or self.answers[stream].reset is not None)):
            assert await self.hear() is not None, f"the connection ended: {self.heard[-3:]}"
        return self.answers[stream]

    async def goodbye(self) -> tuple[frames.ErrorCode, str]:
        """What the connection is broken off with; it must end after that."""
        last = await self.until(lambda heard: heard.kind == frames.GOAWAY)
        while await self.hear() is not None:
            pass
        return frames.ErrorCode(int.from_bytes(last.payload[4:8], "big")), last.payload[8:].decode()

    def close(self) -> None:
        self._writer.close()

    def _note(self, heard: Frame) -> None:
        if not heard.stream or heard.kind == frames.WINDOW_UPDATE:
            return
        answer = self.answers.setdefault(heard.stream, Answer())
        if heard.kind == frames.DATA:
            answer.data += heard.payload
        elif heard.kind == frames.HEADERS:
            answer.blocks.append(dict(self._decoder.decode(heard.payload)))
        elif heard.kind == frames.RST_STREAM:
            answer.reset = int.from_bytes(heard.payload, "big")
        answer.ended |= bool(heard.kind in (frames.DATA, frames.HEADERS) and heard.flags & frames.END_STREAM)
