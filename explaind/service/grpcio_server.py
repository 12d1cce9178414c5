"""gRPC's own server, for whoever wants it in place of ours: `EXPLAIND_TRANSPORT=grpcio`.

Slower, and proven with every proxy and every client there is: something to compare with, and to go back to.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import grpc
from grpc import aio

from explaind.service import listening
from explaind.service.grpc_server import Wrap
from explaind.service.grpc_types import Handler


class GrpcioServer:
    """A GrpcServer. lines: paths that have a queue of their own, as in ours.

    gRPC keeps a queue for each registered method and one for all the others, and for each call that it takes up it
    goes over all queues, with half a dozen Python calls for each; generated code registers every method. So only what
    must not stand behind the others is registered.
    """

    def __init__(
        self,
        wrap: Wrap,
        *,
        age: float,
        most_message_bytes: int,
        most_waiting: int,
        lines: Sequence[str] = (),
    ) -> None:
        self._lines = lines
        self._server = aio.server(
            interceptors=[_Wrapping(wrap)], options=options(age, most_message_bytes, most_waiting)
        )

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._server.add_generic_rpc_handlers(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        own = {name: each for name, each in method_handlers.items() if f"/{service_name}/{name}" in self._lines}
        if own:
            self._server.add_registered_method_handlers(service_name, own)

    def bind(self, host: str, port: int) -> int:
        """gRPC itself does not say why it cannot; the port is free again only when it has been served."""
        try:
            return self._server.add_insecure_port(listening.grpc_address(host, port))
        except RuntimeError as error:
            raise listening.why_not(host, port) or OSError(str(error)) from error

    async def start(self) -> None:
        await self._server.start()

    async def stop(self, grace: float) -> None:
        await self._server.stop(grace)


class _Wrapping(aio.ServerInterceptor):
    """Methods that nobody serves pass untouched."""

    def __init__(self, wrap: Wrap) -> None:
        self._wrap = wrap
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        handler = await continuation(handler_call_details)
        if handler is None:  # how gRPC says UNIMPLEMENTED
            return None
        path: str = handler_call_details.method
        known, mine = self._wrapped.get(path, (None, handler))
        if known is not handler:
            mine = self._wrap(path, handler)
            self._wrapped[path] = handler, mine
        return mine


def options(age: float, most_message_bytes: int, most_waiting: int) -> list[tuple[str, Any]]:
    return [
        ("grpc.so_reuseport", 0),  # with it a second daemon would share the port unseen
        ("grpc.max_receive_message_length", most_message_bytes),
        ("grpc.max_send_message_length", -1),
        # gRPC cancels calls, untyped, when more than these have not been taken up yet: from the first on some, from the
        # second on all. We refuse them typed, so they only bound its memory.
        ("grpc.server.max_pending_requests", most_waiting),
        ("grpc.server.max_pending_requests_hard_limit", 2 * most_waiting),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        # No grace period: gRPC would cut what is under way at its end. A caller that is lost shows by its keepalive.
        ("grpc.max_connection_age_ms", round(age * 1000)),
    ]
