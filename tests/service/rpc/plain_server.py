"""Our server of gRPC around behaviours that a test names: bytes in, bytes out, nothing of explaind's own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc

from explaind.service.http2.connection import Bounds
from explaind.service.rpc.server import RpcServer

SERVICE = "test.Plain"


def path(name: str) -> str:
    return f"/{SERVICE}/{name}"


async def echo(request: bytes, context: Any) -> bytes:
    return request


async def repeat(request: bytes, context: Any) -> bytes:
    """As many bytes as the request says."""
    return b"x" * int(request)


async def echo_stream(requests: Any, context: Any) -> None:
    async for request in requests:
        await context.write(request)


@dataclass
class Plain:
    server: RpcServer
    address: str = ""
    read: list[bytes] = field(default_factory=list)
    """What Hold has read."""
    written: int = 0
    """Messages that Pour has been able to write, of 10,000 bytes each."""
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    """Lets Hold read and Wait answer."""
    waiting: int = 0
    """Calls of Wait."""
    cancelled: int = 0
    """Calls of Wait and Pour."""

    async def hold(self, requests: Any, context: Any) -> None:
        """Reads nothing until it may."""
        await self.opened.wait()
        async for request in requests:
            self.read.append(request)

    async def pour(self, request: bytes, context: Any) -> None:
        """As many messages as the request says."""
        with self._counting_cancellation():
            for _ in range(int(request)):
                await context.write(b"y" * 10_000)
                self.written += 1

    async def wait(self, request: bytes, context: Any) -> bytes:
        self.waiting += 1
        try:
            with self._counting_cancellation():
                await self.opened.wait()
        finally:
            self.waiting -= 1
        return request

    @contextlib.contextmanager
    def _counting_cancellation(self) -> Iterator[None]:
        try:
            yield
        except asyncio.CancelledError:
            self.cancelled += 1
            raise


@contextlib.asynccontextmanager
async def plain_server(
    *,
    bounds: Bounds | None = None,
    most_message_bytes: int = 4 * 1024 * 1024,
    most_waiting: int = 1000,
    unary: dict[str, Callable[..., Any]] | None = None,
    lines: Sequence[str] = (),
) -> AsyncIterator[Plain]:
    """unary: behaviours besides Echo, Repeat, Wait, EchoStream, Hold and Pour. lines: names of those whose calls wait
    in lines of their own."""
    server = RpcServer(
        lambda _, handler: handler,
        bounds=bounds or Bounds(),
        most_message_bytes=most_message_bytes,
        most_waiting=most_waiting,
        lines=[path(name) for name in lines],
    )
    plain = Plain(server)
    behaviours = {"Echo": echo, "Repeat": repeat, "Wait": plain.wait, **(unary or {})}
    streams = {"EchoStream": echo_stream, "Hold": plain.hold}
    server.add_registered_method_handlers(
        SERVICE,
        {name: grpc.unary_unary_rpc_method_handler(each) for name, each in behaviours.items()}
        | {name: grpc.stream_stream_rpc_method_handler(each) for name, each in streams.items()}
        | {"Pour": grpc.unary_stream_rpc_method_handler(plain.pour)},
    )
    plain.address = f"127.0.0.1:{server.bind('127.0.0.1', 0)}"
    await server.start()
    try:
        yield plain
    finally:
        async with asyncio.timeout(20):
            await server.stop(0)
