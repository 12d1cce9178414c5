"""The same calls to our own server of gRPC and to grpcio's come to the same."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from explaind.errors import BackendUnavailable
from explaind.v1 import explanation_service_pb2, model_service_pb2

pytestmark = pytest.mark.asyncio

SERVICE = "/explaind.v1.ExplanationService"
EACH_TIME_ANOTHER = {"x-request-id", "grpc-status-details-bin"}


async def outcome(call):
    """Code, words, and what else stands in the trailers."""
    try:
        answer = await call
        words, code = answer if isinstance(answer, bytes) else type(answer).__name__, grpc.StatusCode.OK
    except grpc.aio.AioRpcError as error:
        words, code = error.details(), error.code()
    trailers = await call.trailing_metadata()
    return code, words, {(key, "" if key in EACH_TIME_ANOTHER else value) for key, value in trailers or ()}


async def streamed(call):
    try:
        return [type(each).__name__ async for each in call], grpc.StatusCode.OK
    except grpc.aio.AioRpcError as error:
        return error.details(), error.code()


CALLS = {
    "explained": lambda r, request: r.explanations.Explain(request()),
    "with its id": lambda r, request: r.explanations.Explain(request(), metadata=(("x-request-id", "me"),)),
    "compressed": lambda r, request: r.explanations.Explain(request(), compression=grpc.Compression.Gzip),
    "in time": lambda r, request: r.explanations.Explain(request(), timeout=20),
    "another model": lambda r, request: r.explanations.Explain(request(model="ünknown % model")),
    "broken": lambda r, request: r.explanations.Explain(request(top_classes=-1)),
    "no message": lambda r, request: r.channel.unary_unary(f"{SERVICE}/Explain")(b"\xff\xff"),
    "no method": lambda r, request: r.channel.unary_unary("/no.such/Method")(b""),
    "models": lambda r, request: r.models.ListModels(model_service_pb2.ListModelsRequest()),
    "health": lambda r, request: health_pb2_grpc.HealthStub(r.channel).Check(health_pb2.HealthCheckRequest()),
    "health of nobody": lambda r, request: health_pb2_grpc.HealthStub(r.channel).Check(
        health_pb2.HealthCheckRequest(service="nobody")
    ),
}
FAILURES = {"a bug": ZeroDivisionError("bug"), "no backend": BackendUnavailable("Try again.", retry_after=0.25)}


@pytest.mark.parametrize("name", CALLS)
async def test_unary_calls_come_to_the_same(start, request_for, name):
    ours, theirs = [
        await outcome(CALLS[name](await start(transport=transport), request_for))
        for transport in ("explaind", "grpcio")
    ]
    if name == "no method":  # grpcio's says less
        ours, theirs = ours[0], theirs[0]
    assert ours == theirs


@pytest.mark.parametrize("name", FAILURES)
async def test_failures_come_to_the_same(start, small_engine, request_for, name):
    ends = []
    for transport in ("explaind", "grpcio"):
        running = await start(small_engine(failure=FAILURES[name]), transport=transport)
        call = running.explanations.Explain(request_for(), metadata=(("x-request-id", "me"),))
        ends.append(await outcome(call))
    assert ends[0] == ends[1]


async def test_streams_come_to_the_same(start, request_for):
    items = [
        explanation_service_pb2.StreamExplainRequest(item_id="1", request=request_for()),
        explanation_service_pb2.StreamExplainRequest(item_id="2"),
    ]
    listing = reflection_pb2.ServerReflectionRequest(list_services="")
    ends = []
    for transport in ("explaind", "grpcio"):
        running = await start(transport=transport)
        explain = running.channel.stream_stream(f"{SERVICE}/StreamExplain")
        ends.append(
            [
                await streamed(running.explanations.StreamExplain(iter(items))),
                await streamed(running.explanations.StreamExplain(iter([]))),
                await streamed(explain(iter([b"\xff\xff"]))),
                await streamed(
                    reflection_pb2_grpc.ServerReflectionStub(running.channel).ServerReflectionInfo(iter([listing]))
                ),
            ]
        )
    assert ends[0] == ends[1]
    assert ends[0][0] == (["StreamExplainResponse"] * 2, grpc.StatusCode.OK)


async def test_a_hundred_calls_at_once_are_answered_by_both(start, request_for):
    for transport in ("explaind", "grpcio"):
        running = await start(transport=transport, queue_size=200)
        calls = [running.explanations.Explain(request_for(number / 100)) for number in range(100)]
        answers = await asyncio.gather(*calls)
        assert [answer.prediction.class_name for answer in answers] == ["dark"] * 50 + ["bright"] * 50
