"""A load generator in a process of its own: calls at a constant rate however slowly they are answered, or N at a time.

`python -m tests.benchmarks.open_loop` reads one JSON object (fields: Load) and prints one (Outcome); loopback only.
A closed loop slows down with the server and so hides what callers see when more arrives than can be served.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import cast

import grpc
import numpy as np
import psutil
from google.rpc import error_details_pb2, status_pb2

from tests.benchmarks import frames
from tests.benchmarks.frames import LARGEST_WINDOW

ROOT = Path(__file__).parents[2]
PATH = "/explaind.v1.ExplanationService/Explain"
CODES = {str(code.value[0]).encode(): code for code in grpc.StatusCode}
REFUSED_STREAM = b"\0\0\0\x07"
MOST_OUTSTANDING = 20_000
"""Calls without an answer from which on no more are sent: the generator's own memory."""
ON_TIME = 0.02
"""Seconds of lateness up to which a call counts as sent when due: what a process that shares its core is late by."""


@dataclass(frozen=True)
class Load:
    """rate: calls a second, open loop; 0: closed loop of `concurrency`. request: a message's bytes, as hex; `also`:
    more of them, taken in turn with it. broken: messages that must be refused, one every `broken_every` calls.
    seconds: how long calls are sent; most: how many at most. lead_in: seconds of an open loop before these, whose calls
    count only where a good one is not answered: until it has seen what they need, the kernel may run generator and
    server on one core. timeout: of each call, seconds."""

    address: str
    request: str
    seconds: float
    rate: float = 0.0
    lead_in: float = 0.0
    concurrency: int = 16
    timeout: float = 5.0
    most: int = 10_000_000
    also: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    broken_every: int = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """One call. due: when, on the performance counter. good: it must be answered. late: seconds by which it went out
    later than due."""

    due: float
    message: bytes
    good: bool
    late: float = 0.0


Ended = Callable[[Sent, grpc.StatusCode, bytes], None]


class Messages:
    """What is sent, call after call."""

    def __init__(self, load: Load) -> None:
        self._good = [bytes.fromhex(each) for each in (load.request, *load.also)]
        self._broken = [bytes.fromhex(each) for each in load.broken]
        self._every = load.broken_every
        self._goods = self._bads = 0

    def next(self, due: float, late: float = 0.0) -> Sent:
        if self._every and (self._goods + self._bads) % self._every == self._every - 1:
            self._bads += 1
            return Sent(due, self._broken[self._bads % len(self._broken)], good=False, late=late)
        self._goods += 1
        return Sent(due, self._good[self._goods % len(self._good)], good=True, late=late)


@dataclass
class Outcome:
    """ends: how many calls by "CODE" or "CODE REASON". ok, refused: seconds from when a call was due to its end, of
    calls that were not broken; broken_ends, broken: of those that were. on_time: `ok` of calls that went out when due:
    after a stall of the machine the generator sends a burst, which is another load than it was told.
    late: seconds by which calls went out later than due, the generator's own fault. in_time: OK ends while calls were
    still sent: what stands in a queue at the end is no throughput. seconds: of sending. core_seconds: of the machine's
    cores all together until the last end; stolen_seconds: of these, what the host gave to others."""

    ends: Counter[str] = field(default_factory=Counter)
    in_time: int = 0
    ok: list[float] = field(default_factory=list)
    on_time: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    broken_ends: Counter[str] = field(default_factory=Counter)
    broken: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    core_seconds: float = 0.0
    stolen_seconds: float = 0.0
    unsent: int = 0
    without_retry_info: int = 0

    @property
    def goodput(self) -> float:
        """OK answers a second."""
        return self.in_time / self.seconds

    @property
    def host_took(self) -> float:
        """The share of the cores' time that the host gave to others, 0 to 1."""
        return self.stolen_seconds / max(self.core_seconds, 1e-9)


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """As of one load."""
    whole = Outcome()
    for each in outcomes:
        for name, value in vars(each).items():
            setattr(whole, name, getattr(whole, name) + value)
    return whole


def generate(load: Load) -> Outcome:
    """Runs the generator in its own process and waits for it."""
    command = [sys.executable, "-m", "tests.benchmarks.open_loop"]
    limit = load.seconds + load.timeout + 60
    done = subprocess.run(
        command, input=json.dumps(asdict(load)), capture_output=True, text=True, cwd=ROOT, timeout=limit
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    counters = {name: Counter(told[name]) for name in ("ends", "broken_ends")}
    return Outcome(**(told | counters))


class Connection(asyncio.Protocol):
    """One connection; `ended(due, code, details)` is told of each call's end. As gRPC's clients, it holds calls back
    while as many are open as the server allows, and gives up those whose time is over before they could go."""

    def __init__(self, load: Load, ended: Ended) -> None:
        self._timeout = load.timeout
        self._headers = frames.headers(load.address, PATH, load.timeout)
        self._ended = ended
        self._open: dict[int, Sent] = {}
        self._details: dict[int, bytes] = {}
        self._next = 1
        self._window = 65535
        self._most_open = LARGEST_WINDOW
        self._held: deque[Sent] = deque()
        self._buffer = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(frames.opening())

    def connection_lost(self, error: Exception | None) -> None:
        for sent in self._open.values():
            self._ended(sent, grpc.StatusCode.UNAVAILABLE, b"")
        self._open.clear()

    def call(self, sent: Sent) -> None:
        self._held.append(sent)
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
            self._end(stream, code, frames.binary(frames.field(payload, b"grpc-status-details-bin")))
        elif kind == frames.RST_STREAM:
            # As gRPC's clients read it: code 7, a stream refused unseen, which they would send again; else cancelled.
            refused = payload == REFUSED_STREAM
            self._end(stream, grpc.StatusCode.UNAVAILABLE if refused else grpc.StatusCode.CANCELLED, b"")
        elif kind == frames.WINDOW_UPDATE and stream == 0:
            self._window += int.from_bytes(payload, "big")
            self._flush()
        elif told := frames.acknowledged(kind, flags, payload):
            if kind == frames.SETTINGS:
                self._most_open = frames.settings(payload).get(frames.MAX_CONCURRENT_STREAMS, self._most_open)
            self._transport.write(told)

    def _end(self, stream: int, code: grpc.StatusCode, details: bytes) -> None:
        """A stream that has ended may be reset still."""
        if stream in self._open:
            self._ended(self._open.pop(stream), code, details)
            self._flush()

    def _flush(self) -> None:
        """What the connection's window lets through; the server's window of one stream holds any of our messages."""
        while self._held and len(self._open) < self._most_open:
            cost = len(self._held[0].message) + 5
            if self._window < cost:
                return
            sent = self._held.popleft()
            if time.perf_counter() > sent.due + self._timeout:
                self._ended(sent, grpc.StatusCode.DEADLINE_EXCEEDED, b"")
                continue
            self._window -= cost
            self._open[self._next] = sent
            self._transport.write(frames.call(self._next, self._headers, sent.message))
            self._next += 2


class Generator:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._outcome = Outcome()
        self._messages = Messages(load)
        self._sent = self._outstanding = 0
        self._began = 0.0
        self._idle = asyncio.Event()

    async def run(self) -> Outcome:
        host, _, port = self._load.address.rpartition(":")
        loop = asyncio.get_running_loop()
        _, self._connection = await loop.create_connection(lambda: Connection(self._load, self._ended), host, int(port))
        self._began = time.perf_counter() + (self._load.lead_in if self._load.rate else 0.0)
        self._end = self._began + self._load.seconds
        self._cores = psutil.cpu_times()
        await (self._open() if self._load.rate else self._closed())
        self._connection.close()
        after = psutil.cpu_times()
        self._outcome.core_seconds = sum(after) - sum(self._cores)
        self._outcome.stolen_seconds = after.steal - self._cores.steal
        self._outcome.seconds = min(self._load.seconds, time.perf_counter() - self._began)
        self._outcome.cpu_seconds = time.process_time()
        return self._outcome

    async def _open(self) -> None:
        """Sends each call when it is due; those that are due already, at once."""
        leading = round(self._load.rate * self._load.lead_in)
        for number in range(-leading, min(round(self._load.rate * self._load.seconds), self._load.most)):
            if not number:
                self._cores = psutil.cpu_times()
            due = self._began + number / self._load.rate
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
        for _ in range(min(self._load.concurrency, self._load.most)):
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
        late = time.perf_counter() - due
        if due >= self._began:
            self._outcome.late.append(late)
        self._sent += 1
        self._outstanding += 1
        self._connection.call(self._messages.next(due, late))

    def _ended(self, sent: Sent, code: grpc.StatusCode, details: bytes) -> None:
        now = time.perf_counter()
        self._outstanding -= 1
        self._count(sent, code, details, now)
        if not self._load.rate and now < self._end and self._sent < self._load.most:
            self._send(now)
        elif not self._outstanding:
            self._idle.set()

    def _count(self, sent: Sent, code: grpc.StatusCode, details: bytes, now: float) -> None:
        outcome, taken = self._outcome, now - sent.due
        if sent.due < self._began and (code is grpc.StatusCode.OK or not sent.good):
            return
        reason, retry = ("", False) if code is grpc.StatusCode.OK else read_details(details)
        outcome.without_retry_info += code is grpc.StatusCode.RESOURCE_EXHAUSTED and not retry
        end = f"{code.name} {reason}".strip()
        if not sent.good:
            outcome.broken_ends[end] += 1
            outcome.broken.append(taken)
            return
        outcome.ends[end] += 1
        if code is grpc.StatusCode.OK:
            outcome.in_time += now <= self._end
            outcome.ok.append(taken)
            if sent.late <= ON_TIME:
                outcome.on_time.append(taken)
        else:
            outcome.refused.append(taken)


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
    for name in ("ok", "on_time", "refused", "broken", "late"):
        setattr(outcome, name, [round(value, 6) for value in getattr(outcome, name)])
    sys.stdout.write(json.dumps(vars(outcome)))


def percentile(seconds: list[float], q: float) -> float:
    """In milliseconds; NaN of nothing."""
    return 1e3 * float(np.percentile(seconds, q)) if seconds else float("nan")


def new_loop() -> asyncio.AbstractEventLoop:
    """Whose timers are exact: asyncio's own wait for whole milliseconds, which would be half of a call's time."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


def keep_to_one_core() -> None:
    """For loads that leave cores idle: wandering, the generator and the server take turns on one core while another
    idles, as callers elsewhere never do. The server may use all."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(cores)})


if __name__ == "__main__":
    gc.disable()  # a pause of the generator would be the server's latency
    told = Load(**json.load(sys.stdin))
    if told.rate:
        keep_to_one_core()
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_main(told))
