"""A load generator in a process of its own: calls at a constant rate however slowly they are answered, or N at a time.

`python -m tests.benchmarks.open_loop '{"address": …}'` (fields: Load), loopback only; prints one JSON object, Outcome.
A closed loop slows down with the server and so hides what callers see when more arrives than can be served.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import grpc
import numpy as np
from google.rpc import error_details_pb2, status_pb2

from tests.benchmarks import frames
from tests.benchmarks.frames import LARGEST_WINDOW

ROOT = Path(__file__).parents[2]
PATH = "/explaind.v1.ExplanationService/Explain"
CODES = {str(code.value[0]).encode(): code for code in grpc.StatusCode}
Ended = Callable[[float, grpc.StatusCode, bytes], None]
REFUSED_STREAM = b"\0\0\0\x07"
MOST_OUTSTANDING = 20_000
"""Calls without an answer from which on no more are sent: the generator's own memory."""


@dataclass(frozen=True)
class Load:
    """rate: calls a second, open loop; 0: closed loop of `concurrency`. request: a message's bytes, as hex.
    seconds: how long calls are sent. timeout: of each call, seconds."""

    address: str
    request: str
    seconds: float
    rate: float = 0.0
    concurrency: int = 16
    timeout: float = 5.0


@dataclass
class Outcome:
    """ends: how many calls by "CODE" or "CODE REASON". ok, refused: seconds from when a call was due to its end.
    late: seconds by which calls went out later than due, the generator's own fault. in_time: OK ends while calls were
    still sent: what stands in a queue at the end is no throughput. seconds: of sending."""

    ends: Counter[str] = field(default_factory=Counter)
    in_time: int = 0
    ok: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    unsent: int = 0
    without_retry_info: int = 0

    @property
    def goodput(self) -> float:
        """OK answers a second."""
        return self.in_time / self.seconds


def generate(load: Load) -> Outcome:
    """Runs the generator in its own process and waits for it."""
    command = [sys.executable, "-m", "tests.benchmarks.open_loop", json.dumps(asdict(load))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=load.seconds + 60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Outcome(**(told | {"ends": Counter(told["ends"])}))


class Connection(asyncio.Protocol):
    """One connection; `ended(due, code, details)` is told of each call's end. As gRPC's clients, it holds calls back
    while as many are open as the server allows, and gives up those whose time is over before they could go."""

    def __init__(self, load: Load, ended: Ended) -> None:
        self._timeout = load.timeout
        self._headers = frames.headers(load.address, PATH, load.timeout)
        self._request = bytes.fromhex(load.request)
        self._ended = ended
        self._due: dict[int, float] = {}
        self._details: dict[int, bytes] = {}
        self._next = 1
        self._window = 65535
        self._most_open = LARGEST_WINDOW
        self._held: deque[float] = deque()
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(frames.opening())

    def connection_lost(self, error: Exception | None) -> None:
        for due in self._due.values():
            self._ended(due, grpc.StatusCode.UNAVAILABLE, b"")
        self._due.clear()

    def call(self, due: float) -> None:
        self._held.append(due)
        self._flush()

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        for kind, flags, stream, payload in frames.received(self._buffer):
            self._take(kind, flags, stream, payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.HEADERS and flags & frames.END_STREAM:
            code = CODES[frames.field(payload, b"grpc-status")]
            self._end(stream, code, frames.field(payload, b"grpc-status-details-bin")[1:])  # after the mark: not base64
        elif kind == frames.RST_STREAM:
            # As gRPC's clients read it: code 7, a stream refused unseen, which they would send again; else cancelled.
            refused = payload == REFUSED_STREAM
            self._end(stream, grpc.StatusCode.UNAVAILABLE if refused else grpc.StatusCode.CANCELLED, b"")
        elif kind == frames.WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(payload, "big")
            self._flush()
        elif kind in (frames.SETTINGS, frames.PING) and not flags & frames.ACK:
            if kind == frames.SETTINGS:
                self._most_open = frames.settings(payload).get(frames.MAX_CONCURRENT_STREAMS, self._most_open)
            self._transport.write(frames.frame(kind, frames.ACK, 0, payload if kind == frames.PING else b""))

    def _end(self, stream: int, code: grpc.StatusCode, details: bytes) -> None:
        """A stream that has ended may be reset still."""
        if stream in self._due:
            self._ended(self._due.pop(stream), code, details)
            self._flush()

    def _flush(self) -> None:
        """What the connection's window lets through; the server's window of one stream holds any of our messages."""
        cost = len(self._request) + 5
        while self._held and self._window >= cost and len(self._due) < self._most_open:
            due = self._held.popleft()
            if time.perf_counter() > due + self._timeout:
                self._ended(due, grpc.StatusCode.DEADLINE_EXCEEDED, b"")
                continue
            self._window -= cost
            self._due[self._next] = due
            self._transport.write(frames.call(self._next, self._headers, self._request))
            self._next += 2


class Generator:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._outcome = Outcome()
        self._outstanding = 0
        self._idle = asyncio.Event()

    async def run(self) -> Outcome:
        host, _, port = self._load.address.rpartition(":")
        loop = asyncio.get_running_loop()
        _, self._connection = await loop.create_connection(lambda: Connection(self._load, self._ended), host, int(port))
        began = time.perf_counter()
        self._end = began + self._load.seconds
        await (self._open(began) if self._load.rate else self._closed())
        self._connection.close()
        self._outcome.seconds, self._outcome.cpu_seconds = self._load.seconds, time.process_time()
        return self._outcome

    async def _open(self, began: float) -> None:
        """Sends each call when it is due; those that are due already, at once."""
        for number in range(round(self._load.rate * self._load.seconds)):
            due = began + number / self._load.rate
            while (ahead := due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            if self._outstanding >= MOST_OUTSTANDING:
                self._outcome.unsent += 1
            else:
                self._send(due)
            if number % 8 == 0:
                await asyncio.sleep(0)  # or answers would wait while we catch up
        await self._until_idle()

    async def _closed(self) -> None:
        for _ in range(self._load.concurrency):
            self._send(time.perf_counter())
        await self._until_idle()

    async def _until_idle(self) -> None:
        """The server ends what it has not answered by its deadline; the generator does not wait for ever for it."""
        self._idle.clear()
        if self._outstanding:
            left = max(self._end - time.perf_counter(), 0) + self._load.timeout
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._idle.wait(), left)
        if self._outstanding:
            self._outcome.ends["DEADLINE_EXCEEDED"] += self._outstanding

    def _send(self, due: float) -> None:
        self._outcome.late.append(time.perf_counter() - due)
        self._outstanding += 1
        self._connection.call(due)

    def _ended(self, due: float, code: grpc.StatusCode, details: bytes) -> None:
        outcome, now = self._outcome, time.perf_counter()
        self._outstanding -= 1
        if code is grpc.StatusCode.OK:
            outcome.ends["OK"] += 1
            outcome.in_time += now <= self._end
            outcome.ok.append(now - due)
        else:
            outcome.refused.append(now - due)
            reason, retry = read_details(details)
            outcome.ends[f"{code.name} {reason}".strip()] += 1
            outcome.without_retry_info += code is grpc.StatusCode.RESOURCE_EXHAUSTED and not retry
        if not self._load.rate and now < self._end:
            self._send(now)
        elif not self._outstanding:
            self._idle.set()


@functools.lru_cache(maxsize=1024)
def read_details(details: bytes) -> tuple[str, bool]:
    """ErrorInfo's reason, and whether there is RetryInfo."""
    info, retry = error_details_pb2.ErrorInfo(), False
    for detail in status_pb2.Status.FromString(details).details:
        detail.Unpack(info)
        retry = retry or detail.Is(error_details_pb2.RetryInfo.DESCRIPTOR)
    return info.reason, retry


async def _main(load: Load) -> None:
    outcome = await Generator(load).run()
    for name in ("ok", "refused", "late"):
        setattr(outcome, name, [round(value, 6) for value in getattr(outcome, name)])
    sys.stdout.write(json.dumps(vars(outcome)))


def percentile(seconds: list[float], q: float) -> float:
    """In milliseconds; NaN of nothing."""
    return 1e3 * float(np.percentile(seconds, q)) if seconds else float("nan")


if __name__ == "__main__":
    gc.disable()  # a pause of the generator would be the server's latency
    asyncio.run(_main(Load(**json.loads(sys.argv[1]))))
