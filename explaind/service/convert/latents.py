"""Two images compared, an image's latents moved: requests and answers."""

from __future__ import annotations

from explaind.explanations.latent_types import Hold, LatentDifference, Traversal, TraversalParameters
from explaind.requests import CompareRequest, CompareResult, TraverseRequest, TraverseResult
from explaind.service.convert.enums import enum_from_proto, enum_to_proto
from explaind.service.convert.parameters import given
from explaind.service.convert.requests import image_from_proto, model_name
from explaind.service.convert.results import prediction_fields, provenance_fields
from explaind.service.convert.tensors import tensor_to_proto
from explaind.v1 import explanation_pb2, explanation_service_pb2


def compare_request_from_proto(message: explanation_service_pb2.CompareLatentsRequest) -> CompareRequest:
    return CompareRequest(
        model=model_name(message.model),
        version=message.model_version,
        image_a=image_from_proto(message.image_a, field="image_a"),
        image_b=image_from_proto(message.image_b, field="image_b"),
        latent_space=message.latent_space,
    )


def compare_result_to_proto(
    result: CompareResult, request_id: str = ""
) -> explanation_service_pb2.CompareLatentsResponse:
    first, second = (prediction_fields(prediction, result.class_names, None) for prediction in result.predictions)
    return explanation_service_pb2.CompareLatentsResponse(
        model=result.model,
        model_version=result.model_version,
        latent_space=result.latent_space,
        prediction_a=first,
        prediction_b=second,
        differences=[_difference_to_proto(difference) for difference in result.comparison.differences],
        distance=result.comparison.distance,
        same_p_value=result.comparison.same_p_value,
        image_b_digest=result.image_digests[1],
        provenance=provenance_fields(
            bundle_digest=result.bundle_digest,
            image_digest=result.image_digests[0],
            timings=result.timings,
            request_id=request_id,
        ),
    )


def traverse_request_from_proto(message: explanation_service_pb2.TraverseLatentsRequest) -> TraverseRequest:
    return TraverseRequest(
        model=model_name(message.model),
        version=message.model_version,
        image=image_from_proto(message.image),
        parameters=TraversalParameters(
            latent_space=message.latent_space,
            dimensions=tuple(message.dimension),
            hold=enum_from_proto(Hold, message.hold, default=TraversalParameters().hold, field="hold"),
            **given(message, "low", "high", "steps"),
        ),
    )


def traverse_result_to_proto(
    result: TraverseResult, request_id: str = ""
) -> explanation_service_pb2.TraverseLatentsResponse:
    return explanation_service_pb2.TraverseLatentsResponse(
        model=result.model,
        model_version=result.model_version,
        latent_space=result.latent_space,
        prediction=prediction_fields(result.prediction, result.class_names, None),
        traversals=[_traversal_to_proto(traversal) for traversal in result.traversals.traversals],
        reconstruction=tensor_to_proto(result.traversals.reconstruction),
        reconstruction_agrees=result.traversals.reconstruction_agrees,
        provenance=provenance_fields(
            bundle_digest=result.bundle_digest,
            image_digest=result.image_digest,
            timings=result.timings,
            request_id=request_id,
        ),
    )


def _difference_to_proto(difference: LatentDifference) -> explanation_pb2.LatentDifference:
    return explanation_pb2.LatentDifference(
        dimensions=difference.factor.dimensions,
        label=difference.factor.label,
        label_confidence=enum_to_proto(difference.factor.confidence),
        values_a=difference.values_a,
        values_b=difference.values_b,
        z_score=difference.z_score,
    )


def _traversal_to_proto(traversal: Traversal) -> explanation_pb2.Traversal:
    return explanation_pb2.Traversal(
        dimensions=traversal.factor.dimensions,
        label=traversal.factor.label,
        label_confidence=enum_to_proto(traversal.factor.confidence),
        images=tensor_to_proto(traversal.images),
        response=traversal.response,
        dimension=traversal.dimension,
        values=traversal.values,
        encoded_value=traversal.encoded_value,
    )
