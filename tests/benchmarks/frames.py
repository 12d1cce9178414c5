"""As much HTTP/2 as a load generator needs, frames out and ends of calls in, and a server that answers all alike.

gRPC's own client costs as much a call as the server's refusal does; on the same cores it would measure itself.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_TABLE_SIZE, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, TRUE_BINARY = 0x1, 0x3, 0x4, 0xFE03
LARGEST_WINDOW = 2**31 - 1
LARGEST_FRAME = 16384
"""Until a peer allows more."""


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def opening() -> bytes:
    """No header compression by index, so that headers can be read where they stand; windows that never fill."""
    ours = {HEADER_TABLE_SIZE: 0, INITIAL_WINDOW_SIZE: LARGEST_WINDOW, TRUE_BINARY: 1}
    told = b"".join(struct.pack(">HI", *pair) for pair in ours.items())
    return PREFACE + frame(SETTINGS, 0, 0, told) + frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST_WINDOW - 65535))


def greeting() -> bytes:
    """A server's: its windows never fill."""
    window = frame(WINDOW_UPDATE, 0, 0, struct.pack(">I", LARGEST_WINDOW - 65535))
    return frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW_SIZE, LARGEST_WINDOW)) + window


def answer(stream: int, message: bytes) -> bytes:
    """To a unary call, whole: status OK. message: up to a frame's."""
    head = b"\x88" + _literal(b"content-type") + _literal(b"application/grpc", b"")  # 0x88: `:status` 200
    end = _literal(b"grpc-status") + _literal(b"0", b"")
    told = frame(HEADERS, END_HEADERS, stream, head)
    told += frame(DATA, 0, stream, b"\0" + struct.pack(">I", len(message)) + message)
    return told + frame(HEADERS, END_HEADERS | END_STREAM, stream, end)


def call(stream: int, headers: bytes, message: bytes) -> bytes:
    """A unary call, whole."""
    body = b"\0" + struct.pack(">I", len(message)) + message
    told = [frame(HEADERS, END_HEADERS, stream, headers)]
    for at in range(0, len(body), LARGEST_FRAME):
        last = at + LARGEST_FRAME >= len(body)
        told.append(frame(DATA, END_STREAM if last else 0, stream, body[at : at + LARGEST_FRAME]))
    return b"".join(told)


def headers(address: str, path: str, timeout: float) -> bytes:
    """HPACK: literals without indexing. timeout: seconds."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": address,
        "te": "trailers",
        "content-type": "application/grpc",
        "grpc-timeout": f"{round(1000 * timeout)}m",
    }
    return b"".join(_literal(name.encode()) + _literal(value.encode(), b"") for name, value in fields.items())


def _literal(text: bytes, prefix: bytes = b"\0") -> bytes:
    assert len(text) < 127
    return prefix + bytes([len(text)]) + text


def acknowledged(kind: int, flags: int, payload: bytes) -> bytes:
    """What a peer's settings and pings are to be answered with; empty for all other frames."""
    if kind not in (SETTINGS, PING) or flags & ACK:
        return b""
    return frame(kind, ACK, 0, payload if kind == PING else b"")


def settings(payload: bytes) -> dict[int, int]:
    return dict(struct.iter_unpack(">HI", payload))


def received(buffer: bytearray) -> Iterator[tuple[int, int, int, bytes]]:
    """Kind, flags, stream and payload of each whole frame, which is taken out of `buffer`."""
    at = 0
    while len(buffer) - at >= 9:
        length = int.from_bytes(buffer[at : at + 3], "big")
        if len(buffer) - at < 9 + length:
            break
        yield (
            buffer[at + 3],
            buffer[at + 4],
            int.from_bytes(buffer[at + 5 : at + 9], "big"),
            bytes(buffer[at + 9 : at + 9 + length]),
        )
        at += 9 + length
    del buffer[:at]


def field(block: bytes, name: bytes) -> bytes:
    """A header's value in an uncompressed block; empty where there is none."""
    at = block.find(bytes([len(name)]) + name)
    if at < 0:
        return b""
    at += 1 + len(name)
    assert not block[at] & 0x80, "Huffman"
    length, at = block[at], at + 1
    if length == 127:  # HPACK's integers: seven bits more a byte
        shift = 0
        while True:
            byte, at = block[at], at + 1
            length += (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
    return block[at : at + length]


def binary(value: bytes) -> bytes:
    """What a field that ends in `-bin` holds: marked as such where the server knows that we read it so, else base64."""
    return value[1:] if value[:1] == b"\0" else base64.b64decode(value + b"=" * (-len(value) % 4))
