"""ExplanationService: convert, admit, call the engine, convert back."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from functools import cache, partial
from typing import Any, TypeVar

from google.protobuf.message import Message
from google.rpc import status_pb2

from explaind.backends.call_context import calling
from explaind.errors import ExplaindError, InvalidRequest
from explaind.explanations.budget import Budget
from explaind.explanations.types import Explanation
from explaind.metrics import Metrics
from explaind.requests import CostClass, ExplanationRequest, ScoreRequest, ScoreResult
from explaind.service import convert, request_ids, status
from explaind.service.admission import Admission
from explaind.service.brief_work import BriefWork
from explaind.service.engine_protocol import ServedEngine
from explaind.service.gate import CostClassOf
from explaind.service.grpc_types import Context
from explaind.service.item_stream import ItemStream
from explaind.settings import Settings
from explaind.v1 import explanation_service_pb2 as pb
from explaind.v1 import explanation_service_pb2_grpc

MessageT = TypeVar("MessageT", bound=Message)
RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")
ResponseT = TypeVar("ResponseT")

LARGE_MESSAGE = 256 * 1024
"""Bytes from which on a message is converted in a thread: copying its pixels would hold up the event loop."""
LARGE_BATCH = 256 * 28 * 28
"""Values of the model's images, channels and all, from which on a ScoreAnomalies message is work of the slow class: 256
grey digits, or 17 pictures of 64×64 in colour."""


class ExplanationServicer(explanation_service_pb2_grpc.ExplanationServiceServicer):
    """Errors are raised as they are; the interceptor turns them into statuses."""

    def __init__(self, engine: ServedEngine, admission: Admission, settings: Settings, metrics: Metrics) -> None:
        self._engine = engine
        self._admission = admission
        self._brief = BriefWork(engine)
        self._settings = settings
        self._rejected = cache(metrics.rejected.labels)

    def cost_classes(self) -> dict[str, CostClassOf]:
        """By path of each unary method, which class a call is of, before anything else is known of it."""

        def fast(_: Message) -> CostClass:
            return CostClass.FAST

        def of_explain(message: pb.ExplainRequest) -> CostClass:
            return self._engine.cost_class(convert.asked_from_proto(message))

        known: dict[str, CostClassOf] = {"Explain": of_explain, "ScoreAnomalies": self._cost_class_of_batch}
        service = pb.DESCRIPTOR.services_by_name["ExplanationService"]
        unary = [method for method in service.methods if not method.client_streaming]
        return {f"/{service.full_name}/{method.name}": known.get(method.name, fast) for method in unary}

    async def Explain(self, request: pb.ExplainRequest, context: Context) -> pb.ExplainResponse:  # noqa: N802
        return await self._explain(request, budget_of(context))

    # A coroutine that writes, where the generated signature knows generators only.
    async def StreamExplain(  # type: ignore[override]  # noqa: N802
        self, request_iterator: AsyncIterator[pb.StreamExplainRequest], context: Context
    ) -> None:
        async def answer(item: pb.StreamExplainRequest) -> pb.StreamExplainResponse:
            return await self._answer_item(item, budget_of(context))

        await ItemStream(self._settings.stream_window, answer, context.write).run(request_iterator)

    async def ScoreAnomalies(  # noqa: N802
        self, request: pb.ScoreAnomaliesRequest, context: Context
    ) -> pb.ScoreAnomaliesResponse:
        budget, request_id = budget_of(context), request_ids.current()
        scored = await _off_the_loop(request, self._score_request)
        cost_class = self._cost_class_of_batch(request)

        def work() -> pb.ScoreAnomaliesResponse:
            with calling(request_id=request_id, budget=budget, cost_class=cost_class):
                result = self._engine.score(scored, budget)
            return self._scored(scored, result, request_id)

        return await self._admission.run(cost_class, work, budget)

    async def CompareLatents(  # noqa: N802
        self, request: pb.CompareLatentsRequest, context: Context
    ) -> pb.CompareLatentsResponse:
        return await self._answer_fast(
            request, context, convert.compare_request_from_proto, self._engine.compare, convert.compare_result_to_proto
        )

    async def TraverseLatents(  # noqa: N802
        self, request: pb.TraverseLatentsRequest, context: Context
    ) -> pb.TraverseLatentsResponse:
        return await self._answer_fast(
            request,
            context,
            convert.traverse_request_from_proto,
            self._engine.traverse,
            convert.traverse_result_to_proto,
        )

    async def _answer_fast(
        self,
        message: MessageT,
        context: Context,
        from_proto: Callable[[MessageT], RequestT],
        ask: Callable[[RequestT, Budget], ResultT],
        to_proto: Callable[[ResultT, str], ResponseT],
    ) -> ResponseT:
        """A unary call of the fast class, from message to message."""
        budget, request_id = budget_of(context), request_ids.current()
        request = await _off_the_loop(message, from_proto)

        def work() -> ResponseT:
            with calling(request_id=request_id, budget=budget, cost_class=CostClass.FAST):
                return to_proto(ask(request, budget), request_id)

        return await self._admission.run(CostClass.FAST, work, budget)

    async def _explain(
        self, message: pb.ExplainRequest, budget: Budget, *, patient: bool = False
    ) -> pb.ExplainResponse:
        form, request_id = convert.answer_form_from_proto(message), request_ids.current()
        request = await _off_the_loop(message, convert.request_from_proto)
        self._engine.check(request, budget)  # here already: a broken request costs neither a place nor a thread
        cost_class = self._engine.cost_class(request)

        def work(*, at_once: bool = False) -> pb.ExplainResponse:
            with calling(request_id=request_id, budget=budget, cost_class=cost_class):
                explanation = self._engine.explain(request, budget, checked=at_once)
            return _response(request, explanation, form, request_id)

        brief = not patient and self._brief.holds(request, cost_class)
        if brief and self._admission.calm:
            return self._admission.run_here(cost_class, partial(work, at_once=True))
        return await self._admission.run(cost_class, work, budget, patient=patient, brief=brief)

    async def _answer_item(self, item: pb.StreamExplainRequest, budget: Budget) -> pb.StreamExplainResponse:
        """One item's answer, its error included; only a cancellation ends the stream."""
        try:
            if not item.HasField("request"):
                raise InvalidRequest("The item holds no request; fill in request.", field="request")
            response = await self._explain(item.request, budget, patient=True)
        except Exception as error:
            return pb.StreamExplainResponse(item_id=item.item_id, error=self._item_status(error))
        return pb.StreamExplainResponse(item_id=item.item_id, response=response)

    def _cost_class_of_batch(self, message: pb.ScoreAnomaliesRequest) -> CostClass:
        """Raises ModelNotFound, Unavailable."""
        shape = self._engine.describe(message.model, message.model_version).image_shape
        values = convert.score_size(message) * math.prod(shape)
        return CostClass.SLOW if values >= LARGE_BATCH else CostClass.FAST

    def _score_request(self, message: pb.ScoreAnomaliesRequest) -> ScoreRequest:
        return convert.score_request_from_proto(message, max_images=self._settings.max_batch_images)

    def _scored(self, request: ScoreRequest, result: ScoreResult, request_id: str) -> pb.ScoreAnomaliesResponse:
        return convert.score_result_to_proto(
            result,
            [(index, self._item_status(error)) for index, error in result.errors],
            parameters=request.parameters,
            image_count=len(request.images),
            request_id=request_id,
        )

    def _item_status(self, error: Exception) -> status_pb2.Status:
        if isinstance(error, ExplaindError):
            self._rejected(error.reason).inc()
        return status.reported(error, request_id=request_ids.current())


def budget_of(context: Context) -> Budget:
    remaining: float | None = context.time_remaining()
    return Budget(deadline=None if remaining is None else time.monotonic() + remaining)


def _response(
    request: ExplanationRequest, explanation: Explanation, form: convert.AnswerForm, request_id: str
) -> pb.ExplainResponse:
    return convert.explanation_to_proto(explanation, form=form, anomaly=request.anomaly_score, request_id=request_id)


async def _off_the_loop(message: MessageT, conversion: Any) -> Any:
    """`conversion(message)`, in a thread where the message is large."""
    if message.ByteSize() < LARGE_MESSAGE:
        return conversion(message)
    return await asyncio.to_thread(conversion, message)
