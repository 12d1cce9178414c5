"""A gRPC server that does nothing: as many bytes in and out as a real call has. The transport's limit.

`python -m tests.benchmarks.subjects.echo '{"NAME": BYTES}'` listens on loopback, prints its port, and answers calls of
/echo/NAME with that many bytes, until its standard input ends. Its gRPC is set up as a daemon's.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import grpc
from grpc import aio

from explaind.cli import entry
from tests.benchmarks.subjects.child_server import listening
from tests.benchmarks.worker import Call, Stage

SERVICE = "echo"


@contextmanager
def echoing(sizes: Mapping[str, tuple[int, int]]) -> Iterator[Stage]:
    """sizes: bytes in and out of each call."""
    answers = {str(n): out for n, (_, out) in enumerate(sizes.values())}
    server = listening("tests.benchmarks.subjects.echo", json.dumps(answers), entry.LIBRARIES)
    with server as (port, pid), grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        calls = {name: _call(channel, str(n), sent) for n, (name, (sent, _)) in enumerate(sizes.items())}
        yield Stage(calls, pids=lambda: (pid,))


def _call(channel: grpc.Channel, name: str, sent: int) -> Call:
    method = channel.unary_unary(f"/{SERVICE}/{name}")
    message = bytes(sent)

    def call(_: int) -> int:
        method(message, timeout=10)
        return 1

    return call


async def _serve(answers: Mapping[str, int]) -> None:
    server = aio.server()
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, _handlers(answers))])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


def _handlers(answers: Mapping[str, int]) -> dict[str, grpc.RpcMethodHandler]:
    def handler(answer: bytes) -> grpc.RpcMethodHandler:
        async def echo(_: bytes, __: object) -> bytes:
            return answer

        return grpc.unary_unary_rpc_method_handler(echo)

    return {name: handler(bytes(size)) for name, size in answers.items()}


if __name__ == "__main__":
    asyncio.run(_serve(json.loads(sys.argv[1])))
