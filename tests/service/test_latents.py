"""CompareLatents and TraverseLatents on the wire: everything arrives, nothing is lost on the way back."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from explaind.explanations.latent_types import Hold, TraversalParameters
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb

pytestmark = pytest.mark.asyncio


async def test_a_comparison_is_answered_whole(start: Any, image_of: Any) -> None:
    running = await start()
    request = service_pb.CompareLatentsRequest(model="small", image_a=image_of(0.25), image_b=image_of(0.75))
    answer = await running.explanations.CompareLatents(request, metadata=(("x-request-id", "mine"),))
    assert (answer.model, answer.model_version, answer.latent_space) == ("small", "1", "codes")
    assert (answer.prediction_a.class_name, answer.prediction_b.class_name) == ("dark", "bright")
    (difference,) = answer.differences
    assert (list(difference.dimensions), difference.label) == ([0], "light")
    assert difference.label_confidence == pb.LABEL_CONFIDENCE_HIGH
    assert (list(difference.values_a), list(difference.values_b), difference.z_score) == ([0.25], [0.75], 0.5)
    assert (answer.distance, answer.same_p_value) == (0.25, 0.5)
    assert (answer.provenance.image_digest, answer.image_b_digest) == ("1" * 64, "2" * 64)
    assert (answer.provenance.request_id, answer.provenance.bundle_digest) == ("mine", "b" * 64)


async def test_a_traversal_is_answered_whole(start: Any, image_of: Any) -> None:
    running = await start()
    request = service_pb.TraverseLatentsRequest(
        model="small",
        image=image_of(0.75),
        latent_space="codes",
        dimension=[1, 0],
        low=0,
        high=1,
        steps=2,
        hold=pb.HOLD_ZERO,
    )
    answer = await running.explanations.TraverseLatents(request)
    asked = TraversalParameters(latent_space="codes", dimensions=(1, 0), low=0, high=1, steps=2, hold=Hold.ZERO)
    assert running.engine.traversed == [asked]
    assert (answer.model, answer.latent_space, answer.prediction.class_name) == ("small", "codes", "bright")
    (traversal,) = answer.traversals
    assert (list(traversal.dimensions), traversal.dimension, traversal.label) == ([0, 1], 1, "light")
    assert (list(traversal.values), list(traversal.response), traversal.encoded_value) == ([0, 1], [0, 1], 0.5)
    assert list(traversal.images.shape) == [2, 1, 4, 4]
    assert np.frombuffer(traversal.images.values, "<f4").mean() == 0.75
    assert list(answer.reconstruction.shape) == [1, 4, 4] and answer.reconstruction_agrees
    assert answer.provenance.bundle_digest == "b" * 64


async def test_unset_is_the_default(start: Any, image_of: Any) -> None:
    running = await start()
    await running.explanations.TraverseLatents(service_pb.TraverseLatentsRequest(model="small", image=image_of(0.5)))
    assert running.engine.traversed == [TraversalParameters()]


async def test_zero_is_not_unset(start: Any, image_of: Any) -> None:
    running = await start()
    request = service_pb.TraverseLatentsRequest(model="small", image=image_of(0.5), low=0, high=0, steps=0)
    await running.explanations.TraverseLatents(request)
    assert running.engine.traversed == [TraversalParameters(low=0, high=0, steps=0)]


async def test_both_are_of_the_fast_class(start: Any, image_of: Any, request_for: Any, until: Any) -> None:
    """Answered while the only worker of the slow class is taken."""
    running = await start(slow_workers=1)
    gate = running.engine.hold_slow()
    slow = running.explanations.Explain(request_for(path_mask=pb.PathMaskParameters()))
    await until(lambda: running.engine.running == 1)
    pair = service_pb.CompareLatentsRequest(model="small", image_a=image_of(0.1), image_b=image_of(0.2))
    assert (await running.explanations.CompareLatents(pair, timeout=10)).model == "small"
    one = service_pb.TraverseLatentsRequest(model="small", image=image_of(0.1))
    assert (await running.explanations.TraverseLatents(one, timeout=10)).model == "small"
    gate.set()
    await slow


async def test_the_calls_are_counted_by_method(start: Any, image_of: Any) -> None:
    running = await start()
    with pytest.raises(grpc.aio.AioRpcError):
        await running.explanations.CompareLatents(service_pb.CompareLatentsRequest(model="small"))
    await running.explanations.TraverseLatents(service_pb.TraverseLatentsRequest(model="small", image=image_of(0.5)))

    def handled(method: str, code: str) -> float | None:
        labels = {"grpc_type": "unary", "grpc_service": "explaind.v1.ExplanationService"}
        registry = running.server.metrics.registry
        return registry.get_sample_value(
            "grpc_server_handled_total", {**labels, "grpc_method": method, "grpc_code": code}
        )

    assert handled("CompareLatents", "INVALID_ARGUMENT") == 1
    assert handled("CompareLatents", "OK") == 0
    assert handled("TraverseLatents", "OK") == 1
