"""What the first header fields of a stream say of a call (gRPC over HTTP/2, its protocol description)."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from functools import lru_cache

from explaind.errors import ExplaindError, InvalidRequest
from explaind.service.http2.fields import MOST_TOLD_BYTES, Fields

UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
TIMEOUT = re.compile(rb"(\d{1,8})([HMSmun])")
CONTENT_TYPE = re.compile(rb"application/grpc([+;].*)?")
NOT_METADATA = frozenset((b"te", b"content-type", b"grpc-timeout", b"grpc-encoding", b"grpc-accept-encoding"))

Metadata = tuple[tuple[str, str | bytes], ...]


class NotGrpc(Exception):
    """A request of HTTP/2 that is no call; `status` is HTTP's."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status


@dataclass(frozen=True, slots=True)
class RequestHead:
    """timeout: seconds from now; None: as long as it takes. encoding: of messages that are marked as compressed.
    problem: why the call is refused."""

    path: str
    timeout: float | None = None
    encoding: str = "identity"
    metadata: Metadata = ()
    problem: ExplaindError | None = None


@lru_cache(256)
def parsed(fields: Fields) -> RequestHead:
    """Callers say the same again and again. Raises NotGrpc."""
    known = dict(fields)
    if known.get(b":method") != b"POST":
        raise NotGrpc(405)
    if not CONTENT_TYPE.fullmatch(known.get(b"content-type", b"")):
        raise NotGrpc(415)
    path = known.get(b":path", b"").decode("latin-1")
    try:
        _raise_if_large(fields)
        return RequestHead(
            path=path,
            timeout=_seconds(known.get(b"grpc-timeout")),
            encoding=known.get(b"grpc-encoding", b"identity").decode("latin-1"),
            metadata=_metadata(fields),
        )
    except InvalidRequest as problem:
        return RequestHead(path=path, problem=problem)


def _raise_if_large(fields: Fields) -> None:
    size = sum(32 + len(name) + len(value) for name, value in fields)
    if size > MOST_TOLD_BYTES:
        raise InvalidRequest(
            f"The call's metadata has {size} bytes and may have {MOST_TOLD_BYTES}; send less.", field="metadata"
        )


def _seconds(text: bytes | None) -> float | None:
    if text is None:
        return None
    if (match := TIMEOUT.fullmatch(text)) is None:
        raise InvalidRequest(
            f"grpc-timeout is {text[:20].decode('latin-1')!r}; send up to eight digits and one of H, M, S, m, u, n.",
            field="grpc-timeout",
        )
    return int(match[1]) * UNITS[match[2]]


def _metadata(fields: Fields) -> Metadata:
    """Without what belongs to HTTP/2 and to gRPC itself."""
    found: list[tuple[str, str | bytes]] = []
    for name, value in fields:
        if name in NOT_METADATA or name.startswith(b":"):
            continue
        key = name.decode("latin-1")
        if key.endswith("-bin"):
            found.extend((key, _binary(key, each)) for each in value.split(b","))
        else:
            found.append((key, value.decode("latin-1")))
    return tuple(found)


def _binary(key: str, value: bytes) -> bytes:
    try:
        return base64.b64decode(value + b"=" * (-len(value) % 4), validate=True)
    except binascii.Error:
        raise InvalidRequest(f"The metadata {key} is no base64; encode it.", field="metadata") from None
