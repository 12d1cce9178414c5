"""Header fields as HPACK (RFC 7541): read with the hpack library, written as plain literals.

Written without a dynamic table and without Huffman codes: an answer's fields are few and mostly the same each time.
"""

from __future__ import annotations

from collections.abc import Iterable

from hpack import HPACKDecodingError, HPACKError
from hpack.hpack import decode_integer
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable, table_entry_size

from explaind.service.http2.frames import BrokenProtocol, ErrorCode

Fields = tuple[tuple[bytes, bytes], ...]

FIRST = b"\x20"
"""Before the first block that is written: there is no dynamic table then, however small a peer allows it to be."""
STATUS_200 = b"\x88"
INDEXED, ENTERING, RESIZING_MASK, RESIZING, HUFFMAN = 0x80, 0x40, 0xE0, 0x20, 0x80
"""Bits of a first byte: of a field that is an index, of one that enters the table, of the table's size; of a text."""
LONGEST_NUMBER = 16
"""Bytes; the library refuses what is over six."""
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
        self._table = _WatchedTable()
        self._known: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
        """Raises BrokenProtocol: what follows cannot be decoded then either."""
        if (known := self._known.get(block)) is not None:
            return known
        changes = self._table.changes
        try:
            fields = self._decoded(block)
        except (HPACKError, IndexError) as error:
            why = f"header fields cannot be decoded: {type(error).__name__}"  # its text may hold a caller's secrets
            raise BrokenProtocol(ErrorCode.COMPRESSION_ERROR, why) from None
        self._remember(block, fields, unchanged=self._table.changes == changes)
        return fields

    def _decoded(self, block: bytes) -> Fields:
        """RFC 7541, section 6. The library's own decoder takes two to three times as long for what callers send:
        indices, and a deadline and an id that differ each time."""
        fields: list[tuple[bytes, bytes]] = []
        at, size, table = 0, 0, self._table
        while at < len(block):
            first = block[at]
            if first & INDEXED:
                index, at = _number(block, at, 7)
                name, value = table.get_by_index(index)
            elif first & RESIZING_MASK == RESIZING:
                room, at = _number(block, at, 5)
                if fields or room > HeaderTable.DEFAULT_SIZE:
                    raise HPACKDecodingError("a table that is resized between fields, or to more than we allow")
                table.resize(room)
                continue
            else:
                entering = first & ENTERING
                index, at = _number(block, at, 6 if entering else 4)
                name, at = (table.get_by_index(index)[0], at) if index else _text(block, at)
                value, at = _text(block, at)
                if entering:
                    table.add(name, value)
            fields.append((name, value))
            size += table_entry_size(name, value)
            if size > MOST_FIELD_BYTES:
                why = f"header fields of over {MOST_FIELD_BYTES} bytes"
                raise BrokenProtocol(ErrorCode.ENHANCE_YOUR_CALM, why)
        return tuple(fields)

    def _remember(self, block: bytes, fields: Fields, *, unchanged: bool) -> None:
        """A block means the same again while the table is the same."""
        if not unchanged or len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        if unchanged and len(block) <= LONGEST_REMEMBERED:
            self._known[block] = fields


class _WatchedTable(HeaderTable):
    """Counts what changes the meaning of indices."""

    def __init__(self) -> None:
        self.changes = 0
        super().__init__()

    def add(self, name: bytes, value: bytes) -> None:
        self.changes += 1
        super().add(name, value)

    def resize(self, room: int) -> None:
        self.changes += 1
        self.maxsize = room


def _number(block: bytes, at: int, bits: int) -> tuple[int, int]:
    """One of RFC 7541, section 5.1, in the last `bits` of a byte and what follows; and where it ends."""
    mask = (1 << bits) - 1
    number = block[at] & mask
    if number < mask:
        return number, at + 1
    number, length = decode_integer(block[at : at + LONGEST_NUMBER], bits)
    return number, at + length


def _text(block: bytes, at: int) -> tuple[bytes, int]:
    """One of section 5.2, and where it ends."""
    huffman = block[at] & HUFFMAN
    length, at = _number(block, at, 7)
    text = block[at : at + length]
    if len(text) < length:
        raise HPACKDecodingError("a text that is cut short")
    return (decode_huffman(text) if huffman else text), at + length
