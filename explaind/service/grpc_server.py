"""What the daemon asks of a server of gRPC; there are two: `rpc.server` and `grpcio_server`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import grpc

from explaind.service.grpc_types import Handler

Wrap = Callable[[str, Handler], Handler]
"""What is put around the handler of the method at a path."""


class GrpcServer(Protocol):
    """Made with the paths whose calls wait in lines of their own; those of all others wait in one."""

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None: ...

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None: ...

    def bind(self, host: str, port: int) -> int:
        """Which port it is; 0 takes a free one. Raises OSError."""

    async def start(self) -> None: ...

    async def stop(self, grace: float) -> None:
        """Takes no call any more; those under way have `grace` seconds. Asked twice, the shorter counts."""
