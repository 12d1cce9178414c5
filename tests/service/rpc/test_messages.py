"""Messages that are too large, compressed, or none: each says what it is, and no more of it is held than may come."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from explaind.errors import InvalidRequest, MessageTooLarge
from explaind.service.rpc.messages import Message, MessageReader, prefixed


def test_a_message_that_has_begun_is_known() -> None:
    reader = MessageReader(30)
    assert reader.feed(prefixed(b"abc")[:-1]) == []
    assert reader.within


@pytest.mark.parametrize("head", [b"\0\0\0\0\x1f", b"\1\xff\xff\xff\xff"])
def test_a_message_over_the_limit_is_refused_by_its_length_alone(head: bytes) -> None:
    with pytest.raises(MessageTooLarge, match="may have 30"):
        MessageReader(30).feed(head)


def test_a_mark_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="begins with 7"):
        MessageReader(30).feed(b"\7\0\0\0\0")


@pytest.mark.parametrize(("encoding", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_compressed_messages_are_inflated(encoding: str, compress: object) -> None:
    data = b"digit " * 100
    assert Message(compress(data), compressed=True).inflated(encoding, 600) == data  # type: ignore[operator]
    with pytest.raises(MessageTooLarge):
        Message(compress(data), compressed=True).inflated(encoding, 599)  # type: ignore[operator]


def test_a_bomb_is_refused_before_it_has_grown() -> None:
    bomb = Message(gzip.compress(bytes(200_000_000), 9), compressed=True)
    tracemalloc.start()
    with pytest.raises(MessageTooLarge):
        bomb.inflated("gzip", 1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("data", "encoding", "why"),
    [
        (gzip.compress(b"x" * 50, mtime=0)[:-9], "gzip", "cut short"),
        (b"", "gzip", "cut short"),
        (b"no such thing", "gzip", "marked as gzip and is not"),
        (gzip.compress(b"x", mtime=0), "deflate", "marked as deflate and is not"),
        (b"x", "br", "say gzip"),
        (b"x", "identity", "say gzip"),
    ],
    ids=["cut", "nothing", "no gzip", "gzip for deflate", "another compression", "none"],
)
def test_what_cannot_be_inflated_says_why(data: bytes, encoding: str, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        Message(data, compressed=True).inflated(encoding, 100)
