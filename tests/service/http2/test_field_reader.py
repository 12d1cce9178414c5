"""What is remembered of header blocks against a decoder that remembers nothing, over whatever a peer may send."""

from __future__ import annotations

import copy

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explaind.service.http2 import fields
from explaind.service.http2.fields import FieldReader
from explaind.service.http2.frames import BrokenProtocol, ErrorCode

NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=200).map(str.encode)
PAIRS = st.lists(st.tuples(NAMES, st.binary(max_size=300)), max_size=8)

PIECES = st.sampled_from(
    [
        b"\x83",  # :method POST, of the static table
        b"\xbe",  # the newest of the dynamic table, the one before, and one that is hardly ever there
        b"\xbf",
        b"\xc6",
        b"\x40\x01a\x011",  # enters the table
        b"\x40\x01b\x012",
        b"\x7e\x013",  # so does this, with the name of the newest
        b"\x00\x01c\x014",  # does not enter it
        b"\x0f\x2f\x015",  # nor does this, with the name of the newest
        b"\x10\x01d\x016",  # must never enter one
        b"\x40\x01e\x7f\x00" + b"7" * 127,  # large enough to push others out of a small table
        b"\x20",  # the table becomes empty,
        b"\x3f\x13",  # has room for one entry,
        b"\x3f\xe1\x1f",  # for as much as we allow,
        b"\x3f\xe2\x1f",  # for more than that
    ]
)
BLOCKS = st.lists(PIECES, max_size=4).map(b"".join)


@settings(deadline=None)  # other work may have the machine meanwhile
@given(PAIRS)
def test_literals_are_read_as_they_were_written(pairs: list[tuple[bytes, bytes]]) -> None:
    assert hpack.Decoder().decode(fields.FIRST + fields.literals(pairs), raw=True) == pairs


@settings(deadline=None)
@given(st.integers(0, 100_000))
def test_values_of_any_length_are_read_as_they_were_written(size: int) -> None:
    written = fields.literal(b"a", b"v" * size)
    assert hpack.Decoder(max_header_list_size=200_000).decode(written, raw=True) == [(b"a", b"v" * size)]


@settings(deadline=None)
@given(st.lists(BLOCKS, min_size=2, max_size=5), st.lists(st.integers(0, 4), min_size=10, max_size=40))
def test_what_is_remembered_is_what_would_be_decoded(blocks: list[bytes], order: list[int]) -> None:
    """The same few blocks again and again, in any order; those that cannot be decoded where they stand are left out."""
    reader, decoder = FieldReader(), hpack.Decoder(max_header_list_size=fields.MOST_FIELD_BYTES)
    for index in order:
        block = blocks[index % len(blocks)]
        tried = copy.deepcopy(decoder)
        try:
            expected = tuple((bytes(name), bytes(value)) for name, value in tried.decode(block, raw=True))
        except hpack.HPACKError:
            continue
        decoder = tried
        assert reader.read(block) == expected


def test_an_index_means_something_else_once_the_table_has_changed() -> None:
    reader = FieldReader()
    for name in (b"a", b"b", b"a"):
        reader.read(b"\x40\x01" + name + b"\x011")
        for _ in range(3):
            assert reader.read(b"\xbe") == ((name, b"1"),)


def test_a_block_that_resizes_the_table_is_never_taken_from_memory() -> None:
    """Its fields are the same each time, and what it does to the table is done each time."""
    reader = FieldReader()
    for _ in range(3):
        assert reader.read(b"\x20\x83") == ((b":method", b"POST"),)
        reader.read(b"\x3f\xe1\x1f\x40\x01a\x011")
        assert reader.read(b"\xbe") == ((b"a", b"1"),)
    reader.read(b"\x20\x83")
    with pytest.raises(BrokenProtocol):
        reader.read(b"\xbe")


FEW_PAIRS = st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c"]), st.binary(max_size=3)), max_size=3)


@settings(deadline=None)
@given(
    st.lists(st.tuples(FEW_PAIRS, st.sampled_from([None] * 5 + [0, 40, 100, 4096])), min_size=2, max_size=5),
    st.lists(st.integers(0, 4), min_size=10, max_size=40),
)
def test_what_an_encoder_writes_is_read_whatever_its_table_became(
    calls: list[tuple[list[tuple[bytes, bytes]], int | None]], order: list[int]
) -> None:
    """A decoder that remembers nothing reads the same."""
    encoder, reader, decoder = hpack.Encoder(), FieldReader(), hpack.Decoder()
    for index in order:
        pairs, size = calls[index % len(calls)]
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode(pairs)
        assert reader.read(block) == tuple(decoder.decode(block, raw=True)) == tuple(pairs)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_garbage_is_read_or_breaks_the_protocol_and_nothing_else(blocks: list[bytes]) -> None:
    reader = FieldReader()
    for block in blocks:
        try:
            read = reader.read(block)
        except BrokenProtocol as error:
            assert error.code in (ErrorCode.COMPRESSION_ERROR, ErrorCode.ENHANCE_YOUR_CALM)
            return
        assert all(isinstance(name, bytes) and isinstance(value, bytes) for name, value in read)


@settings(deadline=None, max_examples=400)
@given(st.lists(st.one_of(st.binary(max_size=12), BLOCKS), min_size=1, max_size=6))
def test_whatever_comes_is_read_as_the_library_reads_it_or_not_at_all(blocks: list[bytes]) -> None:
    reader, decoder = FieldReader(), hpack.Decoder(max_header_list_size=fields.MOST_FIELD_BYTES)
    for block in blocks:
        try:
            expected = tuple((bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True))
        except (hpack.HPACKError, IndexError):
            with pytest.raises(BrokenProtocol):
                reader.read(block)
            return
        assert reader.read(block) == expected


@settings(deadline=None)
@given(st.integers(0, 300))
def test_more_blocks_than_are_remembered_are_still_read(count: int) -> None:
    reader = FieldReader()
    for index in [*range(count), *range(count)]:
        assert reader.read(fields.literal(b"a", b"%d" % index)) == ((b"a", b"%d" % index),)
    assert len(reader._known) <= fields.MOST_REMEMBERED


def test_a_known_block_is_not_decoded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, reader = hpack.Encoder(), FieldReader()
    call = [(b":path", b"/here"), (b"te", b"trailers")]
    reader.read(encoder.encode(call))
    block = encoder.encode(call)
    known = reader.read(block)
    monkeypatch.setattr(FieldReader, "_decoded", None)
    assert reader.read(block) is known
