"""A minute of computation with the committed bundle, given up: the worker is free again long before it would end."""

import asyncio
from pathlib import Path

import grpc
import numpy as np
import pytest

from explaind.service.server import Server
from explaind.settings import Settings
from explaind.v1 import explanation_pb2, explanation_service_pb2, explanation_service_pb2_grpc

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).parents[2]
REFERENCE = explanation_pb2.PathMaskParameters(solver=explanation_pb2.SOLVER_REFERENCE)


def digit():
    with np.load(ROOT / "tests/data/images.npz") as data:
        values = data["mnist"][0].tobytes()
    tensor = explanation_pb2.Tensor(shape=(1, 28, 28), dtype=explanation_pb2.DATA_TYPE_UINT8, values=values)
    return explanation_pb2.Image(tensor=tensor)


async def test_a_reference_solver_given_up_or_out_of_time_frees_its_worker(until):
    server = Server(Settings(port=0, metrics_port=0, model_store=ROOT / "model_store"))
    await server.start()

    def lane(name):
        return server.metrics.registry.get_sample_value(f"explaind_{name}", {"cost_class": "reference"})

    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = explanation_service_pb2_grpc.ExplanationServiceStub(channel)
        await until(lambda: server.serving, 60)
        request = explanation_service_pb2.ExplainRequest(model="mnist", image=digit(), path_mask=REFERENCE)
        call = stub.Explain(request)
        await until(lambda: lane("inflight_requests") == 1)
        await asyncio.sleep(0.2)  # into the solver
        call.cancel()
        await until(lambda: lane("inflight_requests") == 0)

        try:  # best so far, or the deadline: both are answers
            answer = await stub.Explain(request, timeout=1.0)
            assert answer.path_mask.outcome == explanation_pb2.PATH_MASK_OUTCOME_BEST_SO_FAR
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await until(lambda: lane("inflight_requests") == 0)

        fast = explanation_service_pb2.ExplainRequest(
            model="mnist", image=digit(), path_mask=explanation_pb2.PathMaskParameters()
        )
        answer = await stub.Explain(fast)
        assert answer.path_mask.outcome == explanation_pb2.PATH_MASK_OUTCOME_CONVERGED
    await server.stop(grace_seconds=1.0)
