"""Which calls wait for each other before the event loop takes them up.

gRPC keeps a queue for each registered method and one for all the others, and for each call that it takes up it goes
over all queues, with half a dozen Python calls for each; generated code registers every method. So only what must not
stand behind the others is registered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import grpc
from grpc import aio

from explaind.service.grpc_types import Handler

QUEUES = frozenset(
    ("/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch", "/explaind.v1.ExplanationService/Explain")
)
"""A probe is not held up by explanations, however many wait; what is asked now and then is not held up by `Explain`."""


class Arrivals:
    """What generated code takes for the server when it adds a servicer."""

    def __init__(self, server: aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._server.add_generic_rpc_handlers(generic_rpc_handlers)

    def add_registered_method_handlers(self, service_name: str, method_handlers: Mapping[str, Handler]) -> None:
        own = {name: each for name, each in method_handlers.items() if f"/{service_name}/{name}" in QUEUES}
        if own:
            self._server.add_registered_method_handlers(service_name, own)
