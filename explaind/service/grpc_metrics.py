"""The go-grpc-middleware series of one RPC, every end counted once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Self

import grpc
from google.protobuf.descriptor import MethodDescriptor
from prometheus_client import Counter, Histogram

from explaind.metrics import Metrics
from explaind.service.grpc_types import Handler

OWN_PACKAGE = "explaind."
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

    @property
    def full_name(self) -> str:
        return f"{self.service}/{self.name}"


def initialise(metrics: Metrics, method: Method) -> None:
    """All codes at 0 from the start, so that a rate over the first error is not lost. The histogram gets only OK:
    17 codes of 19 buckets for each method would be series that nobody reads."""
    metrics.grpc_started.labels(*method.labels)
    for code in grpc.StatusCode:
        metrics.grpc_handled.labels(*method.labels, code.name)
    metrics.grpc_seconds.labels(*method.labels, grpc.StatusCode.OK.name)


class Series:
    """One method's series, looked up once: a look-up takes a lock and as long as what it looks up.

    own: one of explaind's methods, not gRPC's health or reflection.
    """

    def __init__(self, metrics: Metrics, method: Method) -> None:
        self.method = method
        self.full_name = method.full_name
        self.own = method.service.startswith(OWN_PACKAGE)
        self.started = metrics.grpc_started.labels(*method.labels)
        self._metrics = metrics
        self._ends: dict[grpc.StatusCode, tuple[Counter, Histogram]] = {}

    def ends(self, code: grpc.StatusCode) -> tuple[Counter, Histogram]:
        """handled and handling_seconds of `code`; made at its first end, so that only codes that come have a
        histogram."""
        if (found := self._ends.get(code)) is None:
            labels = (*self.method.labels, code.name)
            found = self._metrics.grpc_handled.labels(*labels), self._metrics.grpc_seconds.labels(*labels)
            self._ends[code] = found
        return found


class Timer:
    """Started when made; `end` counts and times, with the request id as exemplar."""

    def __init__(self, series: Series, request_id: str) -> None:
        self._series = series
        exemplar = {"request_id": request_id}
        self._exemplar = exemplar if len("request_id" + request_id) <= MAX_EXEMPLAR else None
        self._started = time.perf_counter()
        series.started.inc()

    def end(self, code: grpc.StatusCode) -> float:
        """Seconds since the start."""
        seconds = time.perf_counter() - self._started
        handled, handling_seconds = self._series.ends(code)
        handled.inc()
        handling_seconds.observe(seconds, exemplar=self._exemplar)
        return seconds
