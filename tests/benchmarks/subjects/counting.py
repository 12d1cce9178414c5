"""A server that does the same work for every call and nothing else: what of a tail is the machine's own.

`python -m tests.benchmarks.subjects.counting SECONDS` listens on loopback, prints its port, and answers each call after
it has counted as far as it does in SECONDS where nothing disturbs it, one call after another, until its standard input
ends. It counts to a number, not for a time: a core that others slow down counts more slowly, as it does all else.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from tests.benchmarks import frames
from tests.benchmarks.subjects.child_server import listening


@contextmanager
def counting(seconds: float) -> Iterator[str]:
    """Its address."""
    with listening("tests.benchmarks.subjects.counting", str(seconds)) as (port, _):
        yield f"127.0.0.1:{port}"


class Counting(asyncio.Protocol):
    """One connection. Calls that came together are answered one by one: the first need not wait for the last."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._buffer = bytearray()
        self._opened = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(frames.greeting())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._opened:
            if len(self._buffer) < len(frames.PREFACE):
                return
            del self._buffer[: len(frames.PREFACE)]
            self._opened = True
        for kind, flags, stream, payload in frames.received(self._buffer):
            self._take(kind, flags, stream, payload)

    def _take(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        if kind == frames.DATA and flags & frames.END_STREAM:
            asyncio.get_running_loop().call_soon(self._answer, stream)
        elif told := frames.acknowledged(kind, flags, payload):
            self._transport.write(told)

    def _answer(self, stream: int) -> None:
        count_to(self._number)
        self._transport.write(frames.answer(stream, b""))


def count_to(number: int) -> None:
    for _ in range(number):
        pass


def counted_in(seconds: float) -> int:
    """How far this core counts in that time at its best."""
    number, tries = 20_000, 200
    best = min(_seconds_to(number) for _ in range(tries))
    return round(number * seconds / best)


def _seconds_to(number: int) -> float:
    began = time.perf_counter()
    count_to(number)
    return time.perf_counter() - began


async def _serve(seconds: float) -> None:
    number = counted_in(seconds)
    server = await asyncio.get_running_loop().create_server(lambda: Counting(number), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    gc.disable()
    asyncio.run(_serve(float(sys.argv[1])))
