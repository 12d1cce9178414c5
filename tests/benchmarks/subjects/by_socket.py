"""A daemon asked by a caller as lean as the one that asks TorchServe: a socket that stays open, one thread, bytes that
are ready.

gRPC's own client for Python hands every call from thread to thread, which costs as much as half a prediction; beside a
peer that is asked over a bare HTTP connection, it would be the client that is compared.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from google.protobuf.message import Message

from explaind.v1 import explanation_service_pb2 as service_pb
from tests.benchmarks import frames
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.worker import Call, Stage

SERVICE = "/explaind.v1.ExplanationService"
TIMEOUT = 120.0
"""Of each call, in seconds."""
LONGEST_IDLE = 5.0
"""Seconds between two calls after which the connection may have been given up: well below the daemon's keepalive."""
MOST_READ_BYTES = 256 * 1024


class CallFailed(Exception):
    """The call ended with another status than OK; the message is its number, or says that the connection is lost."""


class Caller:
    """One connection, one unary call at a time. Anew where the daemon asks for that, and after a while without a call:
    nobody answers its pings meanwhile."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._headers: dict[str, bytes] = {}
        self._connect()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def call(self, method: str, message: bytes) -> bytes:
        """The answer's bytes. Raises CallFailed."""
        if self._leave or time.monotonic() - self._used > LONGEST_IDLE:
            self._socket.close()
            self._connect()
        path = f"{SERVICE}/{method}"
        if path not in self._headers:
            self._headers[path] = frames.headers(self._address, path, TIMEOUT)
        stream, self._next = self._next, self._next + 2
        self._socket.sendall(frames.call(stream, self._headers[path], message))
        answer = self._answer(stream)
        self._used = time.monotonic()
        return answer

    def _connect(self) -> None:
        host, _, port = self._address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(frames.opening())
        self._next, self._leave, self._used = 1, False, time.monotonic()
        self._buffer = bytearray()

    def _answer(self, stream: int) -> bytes:
        answer, ended = bytearray(), False
        while not ended:
            if not (chunk := self._socket.recv(MOST_READ_BYTES)):
                raise CallFailed("the connection is lost")
            self._buffer += chunk
            for kind, flags, number, payload in frames.received(self._buffer):
                if number == 0:
                    self._take(kind, flags, payload)
                elif number != stream:
                    continue
                elif kind == frames.DATA:
                    answer += payload
                elif kind == frames.RST_STREAM:
                    raise CallFailed("the call was reset")
                elif kind == frames.HEADERS and flags & frames.END_STREAM:
                    _raise_unless_ok(payload)
                    ended = True
        return bytes(answer[5:])

    def _take(self, kind: int, flags: int, payload: bytes) -> None:
        """What concerns the connection."""
        if kind == frames.GOAWAY:
            self._leave = True
        elif told := frames.acknowledged(kind, flags, payload):
            self._socket.sendall(told)


def _raise_unless_ok(trailers: bytes) -> None:
    if (code := frames.field(trailers, b"grpc-status")) != b"0":
        raise CallFailed(f"grpc-status {code.decode()}")


@contextmanager
def explaining(address: str, pid: int, names: Sequence[str], batches: Sequence[int] = ()) -> Iterator[Stage]:
    """Calls: as `over_grpc.explaining`. CPU and memory are the daemon's."""
    local = threading.local()
    connected: list[Caller] = []

    def caller() -> Caller:
        """A connection for each calling thread, as the peer is asked."""
        if not hasattr(local, "caller"):
            local.caller = Caller(address)
            connected.append(local.caller)
        found: Caller = local.caller
        return found

    images = what.digits()
    calls: dict[str, Call] = {
        name: _calling(
            caller, "Explain", [what.message(name, image) for image in images], service_pb.ExplainResponse, 1
        )
        for name in names
    }
    for size in batches:
        batch = [what.batch_message(what.digits(size))]
        calls[f"score {size}"] = _calling(caller, "ScoreAnomalies", batch, service_pb.ScoreAnomaliesResponse, size)
    try:
        yield Stage(calls, pids=lambda: (pid,))
    finally:
        for each in connected:
            each.close()


def _calling(
    caller: Callable[[], Caller], method: str, messages: Sequence[Message], answer: type[Message], items: int
) -> Call:
    """The answer is read as well: its parts are of use to nobody as bytes."""
    requests = [message.SerializeToString() for message in messages]

    def call(number: int) -> int:
        answer.FromString(caller().call(method, requests[number % len(requests)]))
        return items

    return call
