"""The header fields of answers, as HPACK."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from functools import cache
from urllib.parse import quote

import grpc

from explaind.service.http2.fields import STATUS_200, literal, literals
from explaind.service.rpc.messages import ENCODINGS

Pairs = Iterable[tuple[str, str | bytes]]

CONTENT_TYPE = literal(b"content-type", b"application/grpc")
ACCEPTED = ("grpc-accept-encoding", ", ".join(ENCODINGS))
HEAD = STATUS_200 + CONTENT_TYPE + literal(*(part.encode() for part in ACCEPTED))
"""Of an answer with messages."""
NAME = re.compile(r"[0-9a-z_.-]+")
VALUE = re.compile(r"[\x20-\x7e]*")
READABLE = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")
"""What stands in a status's message as it is."""


def metadata(pairs: Pairs) -> bytes:
    """Raises ValueError for what HTTP/2 cannot carry."""
    return literals(_field(name, value) for name, value in pairs)


def status(code: grpc.StatusCode, message: str, trailing: Pairs) -> bytes:
    """After the messages."""
    return _status(code) + (_message(message) if message else b"") + metadata(trailing)


def only_status(code: grpc.StatusCode, message: str, trailing: Pairs) -> bytes:
    """Instead of messages."""
    return STATUS_200 + CONTENT_TYPE + status(code, message, trailing)


def http_status(number: int) -> bytes:
    """For what is no call of gRPC."""
    return literal(b":status", str(number).encode())


@cache
def _status(code: grpc.StatusCode) -> bytes:
    number: int = code.value[0]
    return literal(b"grpc-status", str(number).encode())


def _message(text: str) -> bytes:
    return literal(b"grpc-message", quote(text, safe=READABLE, errors="replace").encode())


def _field(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    if not NAME.fullmatch(name):
        raise ValueError(f"no name of a metadata field: {name!r}")
    if name.endswith("-bin"):
        return name.encode(), base64.b64encode(value if isinstance(value, bytes) else value.encode()).rstrip(b"=")
    text = value if isinstance(value, str) else value.decode("latin-1")
    if not VALUE.fullmatch(text):
        raise ValueError(f"the metadata field {name} holds what is not printable ASCII")
    return name.encode(), text.encode()
