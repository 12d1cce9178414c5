"""Header fields as HPACK (RFC 7541): read by the hpack library, written as plain literals.

Written without a dynamic table and without Huffman codes: an answer's fields are few and mostly the same each time.
"""

from __future__ import annotations

from collections.abc import Iterable

from hpack import Decoder, HPACKError, OversizedHeaderListError
from hpack.table import HeaderTable

from explaind.service.http2.frames import BrokenProtocol, ErrorCode

Fields = tuple[tuple[bytes, bytes], ...]

FIRST = b"\x20"
"""Before the first block that is written: there is no dynamic table then, however small a peer allows it to be."""
STATUS_200 = b"\x88"
RESIZING_MASK, RESIZING = 0xE0, 0x20
"""How a block begins that resizes the dynamic table."""
MOST_TOLD_BYTES = 16 * 1024
"""Of a call's fields, 32 for each and their names and values, as peers are told; gRPC's own servers take as much."""
MOST_FIELD_BYTES = 64 * 1024
"""Of a block's fields once decoded, 32 for each and their names and values; with more its connection ends."""
MOST_REMEMBERED, LONGEST_REMEMBERED = 64, 256
"""Blocks that are known already, and the bytes of each: a caller's calls differ in nothing but their message."""


def literal(name: bytes, value: bytes) -> bytes:
    """One field. name: in lower case."""
    return b"\x00" + _integer(len(name)) + name + _integer(len(value)) + value


def literals(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    return b"".join(literal(name, value) for name, value in fields)


def _integer(value: int) -> bytes:
    """With a prefix of seven bits, no flag set (RFC 7541, section 5.1)."""
    if value < 0x7F:
        return bytes((value,))
    rest = value - 0x7F
    encoded = [0x7F]
    while rest >= 0x80:
        encoded.append(rest & 0x7F | 0x80)
        rest >>= 7
    encoded.append(rest)
    return bytes(encoded)


class FieldReader:
    """Decodes the blocks of one connection, in their order."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=MOST_FIELD_BYTES)
        self._table = _WatchedTable()
        self._decoder.header_table = self._table
        self._known: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
        """Raises BrokenProtocol: what follows cannot be decoded then either."""
        if (known := self._known.get(block)) is not None:
            return known
        changes = self._table.changes
        try:
            fields: Fields = tuple((bytes(name), bytes(value)) for name, value in self._decoder.decode(block, raw=True))
        except OversizedHeaderListError:
            why = f"header fields of over {MOST_FIELD_BYTES} bytes"
            raise BrokenProtocol(ErrorCode.ENHANCE_YOUR_CALM, why) from None
        except (HPACKError, IndexError, ValueError) as error:
            why = f"header fields cannot be decoded: {type(error).__name__}"  # its text may hold a caller's secrets
            raise BrokenProtocol(ErrorCode.COMPRESSION_ERROR, why) from None
        resized = block[:1] and block[0] & RESIZING_MASK == RESIZING
        self._remember(block, fields, unchanged=not resized and self._table.changes == changes)
        return fields

    def _remember(self, block: bytes, fields: Fields, *, unchanged: bool) -> None:
        """A block means the same again while the table is the same."""
        if not unchanged or len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        if unchanged and len(block) <= LONGEST_REMEMBERED:
            self._known[block] = fields


class _WatchedTable(HeaderTable):
    """Counts entries, each of which changes what the indices of the others mean."""

    def __init__(self) -> None:
        self.changes = 0
        super().__init__()

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)
