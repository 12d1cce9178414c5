"""Header blocks as they come: in HEADERS, and in CONTINUATIONs after it where one frame does not hold them."""

from __future__ import annotations

from dataclasses import dataclass

from explaind.service.http2 import frames
from explaind.service.http2.frames import BrokenProtocol, ErrorCode

MOST_BLOCK_BYTES = 32 * 1024
"""Of a header block as it was sent."""
MOST_PIECES = 32
"""Frames of one: those of no bytes cost time as well."""
PRIORITY_BYTES = 5


@dataclass(slots=True)
class Block:
    """ended: the stream has no data after it."""

    stream: int
    data: bytes
    ended: bool
    pieces: int = 1


class BlockReader:
    """Of one connection. Everything raises BrokenProtocol for what may not come. begun: the block within which nothing
    but its continuation may come."""

    def __init__(self) -> None:
        self.begun: Block | None = None

    def begin(self, flags: int, stream: int, payload: bytes) -> Block | None:
        """A HEADERS frame. The block where that is all of it."""
        data = unpadded(flags, payload)
        if flags & frames.PRIORITISED:
            if len(data) < PRIORITY_BYTES:
                raise BrokenProtocol(ErrorCode.FRAME_SIZE_ERROR, "a priority that is cut short")
            data = data[PRIORITY_BYTES:]
        block = Block(stream, data, ended=bool(flags & frames.END_STREAM))
        if flags & frames.END_HEADERS:
            return block
        self.begun = block
        return None

    def go_on(self, flags: int, stream: int, payload: bytes) -> Block | None:
        """A CONTINUATION. The block where that ends it."""
        block = self.begun
        if block is None or block.stream != stream:
            raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, "a continuation of no header block")
        block.data += payload
        block.pieces += 1
        if len(block.data) > MOST_BLOCK_BYTES or block.pieces > MOST_PIECES:
            raise BrokenProtocol(ErrorCode.ENHANCE_YOUR_CALM, f"a header block of over {MOST_BLOCK_BYTES} bytes")
        if not flags & frames.END_HEADERS:
            return None
        self.begun = None
        return block


def unpadded(flags: int, payload: bytes) -> bytes:
    """Of DATA and HEADERS."""
    if not flags & frames.PADDED:
        return payload
    if not payload or payload[0] >= len(payload):
        raise BrokenProtocol(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - payload[0]]
