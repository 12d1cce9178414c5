"""A server of gRPC on our own event loop: fewer wake-ups, copies and Python calls a call than gRPC's own.

Calls are taken up one at a time, each in a turn of the loop of its own, so that however many have come, a probe waits
for one of them at most.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import grpc

from explaind.errors import QueueFull
from explaind.service.grpc_server import Wrap
from explaind.service.grpc_types import Handler
from explaind.service.http2.connection import Bounds, Connection
from explaind.service.http2.fields import Fields
from explaind.service.http2.stream import Receiver, Stream
from explaind.service.rpc import answer_fields
from explaind.service.rpc.call import Call
from explaind.service.rpc.request_head import NotGrpc, RequestHead, parsed

BACKLOG = 1024
"""Connections that wait to be accepted, where the system allows as many. Smaller: of a burst of new callers some wait a
second for the next try of their own system."""
RETRY_SECONDS = 0.5


class _Details(NamedTuple):
    """What generic handlers are asked with."""

    method: str
    invocation_metadata: Any = ()


class RpcServer:
    """wrap: put around each method's handler once, by its path. lines: of which paths the calls wait in lines of their
    own; all others share one. most_waiting: calls that wait for their turn; more are refused, typed, and so are calls
    beyond twice as many that have begun to come, whatever they are at."""

    def __init__(
        self,
        wrap: Wrap,
        *,
        bounds: Bounds,
        most_message_bytes: int,
        most_waiting: int,
        lines: Sequence[str] = (),
    ) -> None:
        self.most_message_bytes = most_message_bytes
        self._wrap = wrap
        self._bounds = bounds
        self._most_waiting = most_waiting
        self._handlers: dict[str, Handler] = {}
        self._generic: list[grpc.GenericRpcHandler] = []
        others: deque[Call] = deque()
        self._lines = {path: deque[Call]() for path in lines}
        self._other_line = others
        self._turns = deque([*self._lines.values(), others])
        self._waiting = 0
        self._pumping = self._stopping = self._closing = False
        self._calls: set[Call] = set()
        self._connections: set[Connection] = set()
        self._sockets: list[socket.socket] = []
        self._listening: list[asyncio.Server] = []
        self._idle = asyncio.Event()
        self._idle.set()

    # ---- what it serves --------------------------------------------------------------------------------------------

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._generic.extend(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        for name, handler in method_handlers.items():
            path = f"/{service_name}/{name}"
            self._handlers[path] = self._wrap(path, handler)

    def _handler(self, path: str) -> Handler | None:
        if (handler := self._handlers.get(path)) is not None:
            return handler
        details: Any = _Details(path)
        for generic in self._generic:
            if (found := generic.service(details)) is not None:
                self._handlers[path] = wrapped = self._wrap(path, found)
                return wrapped
        return None

    # ---- its life --------------------------------------------------------------------------------------------------

    def bind(self, host: str, port: int) -> int:
        """Takes every address of `host` that this machine has; which port it is. Raises OSError."""
        missing: OSError | None = None
        for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            try:
                self._sockets.append(_bound(family, (address[0], port, *address[2:])))
            except OSError as error:
                if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                    self._close_sockets()
                    raise
                missing = error  # as `localhost` in IPv6, on a machine without
            else:
                port = port or self._sockets[-1].getsockname()[1]
        if not self._sockets and missing is not None:
            raise missing
        return port

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        for each in self._sockets:
            # asyncio takes its backlog as connections to accept a turn, too: where no file is left for them each would
            # be an error of its own, so it is told one.
            self._listening.append(
                await self.loop.create_server(lambda: Connection(self, self._bounds), sock=each, backlog=1)
            )
            each.listen(BACKLOG)

    async def stop(self, grace: float) -> None:
        """Takes no connection any more, asks all to go, and returns when they are gone. Calls that go on after `grace`
        seconds are ended then. When it is asked twice the shorter grace counts."""
        self._stopping = True
        for server in self._listening:
            server.close()
        self._close_sockets()
        for connection in list(self._connections):
            connection.drain()
        try:
            await asyncio.wait_for(self._idle.wait(), grace)
        except TimeoutError:
            self._closing = True
            for call in list(self._calls):
                call.end(grpc.StatusCode.UNAVAILABLE, "The server is stopping.")
            for connection in list(self._connections):
                connection.close()
            await self._idle.wait()

    def _close_sockets(self) -> None:
        for each in self._sockets:
            each.close()

    def _note_whether_idle(self) -> None:
        if self._connections or self._calls:
            self._idle.clear()
        else:
            self._idle.set()

    # ---- connections and calls -------------------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        self._connections.add(connection)
        self._note_whether_idle()
        if self._stopping:  # it was accepted just before
            self.loop.call_soon(connection.close if self._closing else connection.drain)

    def closed(self, connection: Connection) -> None:
        self._connections.discard(connection)
        self._note_whether_idle()

    def request(self, stream: Stream, fields: Fields) -> Receiver:
        """A call has begun to come."""
        try:
            head = parsed(fields)
        except NotGrpc as error:
            stream.finish(answer_fields.http_status(error.status))
            return _Deaf()
        handler = self._handler(head.path)
        if handler is None:
            stream.finish(
                answer_fields.only_status(
                    grpc.StatusCode.UNIMPLEMENTED, f"There is no method {head.path[:200]}; see the protos.", ()
                )
            )
            return _Deaf()
        return self._begin(stream, head, handler)

    def _begin(self, stream: Stream, head: RequestHead, handler: Handler) -> Call:
        call = Call(self, stream, head, handler)
        self._calls.add(call)
        self._note_whether_idle()
        if head.problem is not None:
            call.refuse(head.problem)
        elif self._waiting >= self._most_waiting or len(self._calls) > 2 * self._most_waiting:
            call.refuse(
                QueueFull("Too many calls are open; try again after the given delay.", retry_after=RETRY_SECONDS)
            )
        else:
            call.arrive_if_streaming()
        return call

    def arrived(self, call: Call) -> None:
        """All there is to begin with is there."""
        if not self._pumping:  # nobody waits
            self._pumping = True
            self.loop.call_soon(self._take_up)
            call.start()
            return
        self._waiting += 1
        self._lines.get(call.path, self._other_line).append(call)

    def left(self, call: Call) -> None:
        """Nothing is left to do for it."""
        self._calls.discard(call)
        self._note_whether_idle()

    def _take_up(self) -> None:
        """One call; the next in the loop's next turn."""
        for _ in range(len(self._turns)):
            line = self._turns[0]
            self._turns.rotate(-1)
            while line:
                self._waiting -= 1
                call = line.popleft()
                given_up = call.over
                if not given_up:
                    self.loop.call_soon(self._take_up)
                call.start()
                if not given_up:
                    return
        self._pumping = False


def _bound(family: int, address: tuple[Any, ...]) -> socket.socket:
    # Said to be TCP: only then asyncio lets small writes leave at once. An answer would wait some 40 ms else, for its
    # caller's system to confirm the credit that was sent before it.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # `::` is every address, of IPv4 too
            taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address[0] == "::" else 1)
        taken.bind(address)
    except OSError:
        taken.close()
        raise
    return taken


class _Deaf:
    """Hears what comes on a stream that has been answered."""

    def data(self, chunk: bytes) -> None:
        pass

    def ended(self) -> None:
        pass

    def reset(self) -> None:
        pass
