"""Refuses calls that a full queue would refuse anyway, at the least cost: an overloaded server answers most calls so.

Nothing is made of such a call but its message: no conversion, no log line, no task context, and a status that was
built for an earlier one. It is counted, timed and given its request id like any other.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from explaind.errors import ExplaindError, QueueFull
from explaind.metrics import Metrics
from explaind.requests import CostClass
from explaind.service import request_ids, status
from explaind.service.admission import Admission
from explaind.service.grpc_metrics import Series
from explaind.service.grpc_types import Context

RETRY_STEP = 0.05
"""Seconds to which the delay told is rounded up, so that few statuses serve all."""

CostClassOf = Callable[[Any], CostClass]


class Gate:
    """cost_classes: by method path, which class a call is of, from its message alone; other methods always pass."""

    def __init__(self, admission: Admission, cost_classes: Mapping[str, CostClassOf], metrics: Metrics) -> None:
        self._admission = admission
        self._cost_classes = cost_classes
        self._refused = metrics.rejected.labels(QueueFull.reason)
        self._answers: dict[tuple[str, float], tuple[str, status.Trailers]] = {}

    def refuse(
        self, path: str, series: Series, request: bytes, parse: Any, context: Context
    ) -> Coroutine[Any, Any, None] | None:
        """None: the call may go on; else what ends it with RESOURCE_EXHAUSTED. A message that cannot be read goes
        on, to be refused for that."""
        if not self._admission.crowded or path not in self._cost_classes:
            return None
        began = time.perf_counter()
        try:
            cost_class = self._cost_classes[path](parse(request))
        except (DecodeError, ExplaindError):
            return None
        remaining: float | None = context.time_remaining()
        refusal = self._admission.refusal(cost_class, float("inf") if remaining is None else remaining)
        return None if refusal is None else self._abort(refusal, series, began, context)

    async def _abort(self, refusal: QueueFull, series: Series, began: float, context: Context) -> None:
        message, trailers = self._answer(refusal)
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
        series.started.inc()
        try:
            await context.abort(code, message, (*trailers, (request_ids.METADATA_KEY, request_ids.of(context))))
        except asyncio.CancelledError:
            code = grpc.StatusCode.CANCELLED
            raise
        finally:
            self._refused.inc()
            handled, seconds = series.ends(code)
            handled.inc()
            seconds.observe(time.perf_counter() - began)

    def _answer(self, refusal: QueueFull) -> tuple[str, status.Trailers]:
        delay = -(-refusal.retry_after // RETRY_STEP) * RETRY_STEP
        key = refusal.metadata["cost_class"], delay
        if key not in self._answers:
            refusal.retry_after = delay
            answer = status.from_error(refusal)
            self._answers[key] = answer.message, status.trailers(refusal, answer)
        return self._answers[key]
