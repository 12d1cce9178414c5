"""Server reflection under both of its names: the package serves v1alpha only, recent tools ask for v1, and the
messages of the two are the same on the wire."""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from explaind.service.grpc_server import GrpcServer

V1_NAME = "grpc.reflection.v1.ServerReflection"


def enable(server: GrpcServer, services: Sequence[str]) -> None:
    """Lets callers discover `services`, by full name, and reflection itself."""
    own = (reflection.SERVICE_NAME, V1_NAME)
    names = [*services, *own]
    servicer = reflection.aio.ReflectionServicer(names)
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    handlers = [grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in own]
    server.add_generic_rpc_handlers(handlers)
