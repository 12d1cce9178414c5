"""The go-grpc-middleware series of one RPC, every end counted once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

import grpc
from google.protobuf.descriptor import MethodDescriptor

from explaind.metrics import Metrics
from explaind.service.grpc_types import Handler

MAX_EXEMPLAR = 128
"""OpenMetrics: characters of an exemplar's label names and values together."""

KINDS = {
    (False, False): "unary",
    (True, False): "client_stream",
    (False, True): "server_stream",
    (True, True): "bidi_stream",
}
"""grpc_type by whether requests and responses stream."""


@dataclass(frozen=True, slots=True)
class Method:
    """kind: one of KINDS' values."""

    kind: str
    service: str
    name: str

    @classmethod
    def of(cls, path: str, handler: Handler) -> Self:
        """path: /package.Service/Method."""
        _, service, name = path.split("/")
        return cls(KINDS[handler.request_streaming, handler.response_streaming], service, name)

    @classmethod
    def described(cls, descriptor: MethodDescriptor) -> Self:
        kind = KINDS[descriptor.client_streaming, descriptor.server_streaming]
        return cls(kind, descriptor.containing_service.full_name, descriptor.name)

    @property
    def labels(self) -> tuple[str, str, str]:
        return self.kind, self.service, self.name


def initialise(metrics: Metrics, method: Method) -> None:
    """All codes at 0 from the start, so that a rate over the first error is not lost. The histogram gets only OK:
    17 codes of 19 buckets for each method would be series that nobody reads."""
    metrics.grpc_started.labels(*method.labels)
    for code in grpc.StatusCode:
        metrics.grpc_handled.labels(*method.labels, code.name)
    metrics.grpc_seconds.labels(*method.labels, grpc.StatusCode.OK.name)


class Timer:
    """Started when made; `end` counts and times, with the request id as exemplar."""

    def __init__(self, metrics: Metrics, method: Method, request_id: str) -> None:
        self._metrics = metrics
        self._labels = method.labels
        exemplar = {"request_id": request_id}
        self._exemplar = exemplar if len("request_id" + request_id) <= MAX_EXEMPLAR else None
        self._started = time.perf_counter()
        metrics.grpc_started.labels(*self._labels).inc()

    def end(self, code: grpc.StatusCode) -> float:
        """Seconds since the start."""
        seconds = time.perf_counter() - self._started
        self._metrics.grpc_handled.labels(*self._labels, code.name).inc()
        self._metrics.grpc_seconds.labels(*self._labels, code.name).observe(seconds, exemplar=self._exemplar)
        return seconds
