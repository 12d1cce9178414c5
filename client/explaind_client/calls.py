"""What both clients do around a call: time-outs, request id, metadata, and gRPC's errors made ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from explaind_client.errors import ServerUnreachable, from_rpc_error
from explaind_client.requests import Metadata, call_metadata

EXPLAIN_TIMEOUT, SCORE_TIMEOUT, MODELS_TIMEOUT, STREAM_TIMEOUT = 30.0, 60.0, 10.0, 600.0


class Caller:
    """address: host:port. metadata: sent with every call."""

    def __init__(self, address: str, metadata: Metadata) -> None:
        self.address = address
        self._metadata = metadata

    @contextmanager
    def _call(self, timeout: float, request_id: str) -> Iterator[Metadata]:
        """The metadata of one call, the request id last; an RpcError inside becomes an ExplaindError."""
        request_id, metadata = call_metadata(self._metadata, request_id)
        try:
            yield metadata
        except grpc.RpcError as exc:
            raise from_rpc_error(exc, address=self.address, timeout=timeout, request_id=request_id) from exc

    def _unreachable(self, timeout: float) -> ServerUnreachable:
        return ServerUnreachable(f"Nothing accepted a connection at {self.address} within {timeout:g} s.")
