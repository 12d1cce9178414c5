"""Messages within a stream's data: a mark, four bytes of length, the bytes themselves, compressed where marked."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from explaind.errors import InvalidRequest, MessageTooLarge

PREFIX = 5
GZIP_OR_ZLIB = {"deflate": zlib.MAX_WBITS, "gzip": 16 + zlib.MAX_WBITS}
"""zlib's window bits by encoding."""
ENCODINGS = ("identity", *GZIP_OR_ZLIB)
"""That a call may say its messages have."""


@dataclass(frozen=True, slots=True)
class Message:
    data: bytes
    compressed: bool = False

    def inflated(self, encoding: str, most_bytes: int) -> bytes:
        """Its bytes. Raises MessageTooLarge, however much would come of it, and InvalidRequest."""
        if not self.compressed:
            return self.data
        if encoding not in GZIP_OR_ZLIB:
            raise InvalidRequest(
                f"A message is marked as compressed and its call's encoding is {encoding[:20]!r}; say gzip or deflate.",
                field="request",
            )
        inflater = zlib.decompressobj(GZIP_OR_ZLIB[encoding])
        try:
            data = inflater.decompress(self.data, most_bytes + 1)
        except zlib.error as error:
            raise InvalidRequest(f"A message is marked as {encoding} and is not: {error}.", field="request") from None
        if len(data) > most_bytes:
            raise too_large(f"more than {most_bytes}", most_bytes)
        if not inflater.eof:
            raise InvalidRequest(f"A message compressed by {encoding} is cut short.", field="request")
        return data


class MessageReader:
    """Finds the messages in what comes."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._buffer = bytearray()
        self._needed = PREFIX

    @property
    def within(self) -> bool:
        """Whether a message has begun that is not complete."""
        return bool(self._buffer)

    def feed(self, chunk: bytes) -> list[Message]:
        """Those that are complete now. Raises MessageTooLarge as soon as one says so, and InvalidRequest."""
        if not self._buffer and len(chunk) >= PREFIX and PREFIX + self._length(chunk) == len(chunk):
            return [Message(chunk[PREFIX:], compressed=chunk[0] == 1)]  # as most come: one, whole
        self._buffer += chunk
        found: list[Message] = []
        while len(self._buffer) >= self._needed:
            size = PREFIX + self._length(self._buffer)
            if len(self._buffer) < size:
                self._needed = size
                break
            with memoryview(self._buffer) as view:  # one copy, where a slice of the buffer would be a second
                found.append(Message(bytes(view[PREFIX:size]), compressed=view[0] == 1))
            del self._buffer[:size]
            self._needed = PREFIX
        return found

    def _length(self, data: bytes | bytearray) -> int:
        if data[0] > 1:
            raise InvalidRequest(f"A message begins with {data[0]} where 0 or 1 is due.", field="request")
        length = int.from_bytes(data[1:PREFIX], "big")
        if length > self._most_bytes:
            raise too_large(str(length), self._most_bytes)
        return length


def prefixed(data: bytes) -> bytes:
    return b"\0" + len(data).to_bytes(4, "big") + data


def too_large(size: str, most_bytes: int) -> MessageTooLarge:
    return MessageTooLarge(
        f"A message has {size} bytes and may have {most_bytes}; send less at once.",
        field="request",
        metadata={"most_bytes": str(most_bytes)},
    )
