"""The messages that ask for what a request asks for: the other way of `convert`, which only tests go."""

from __future__ import annotations

from explaind.explanations.types import AnomalyScoreParameters, LatentRankingParameters, PathMaskParameters
from explaind.requests import ExplanationRequest, ImageInput
from explaind.service.convert.enums import enum_to_proto
from explaind.service.convert.parameters import PATH_MASK_OPTIONALS
from explaind.service.convert.tensors import tensor_to_proto
from explaind.v1 import explanation_pb2, explanation_service_pb2


def request_to_proto(request: ExplanationRequest) -> explanation_service_pb2.ExplainRequest:
    ranking, anomaly, mask = request.latent_ranking, request.anomaly_score, request.path_mask
    return explanation_service_pb2.ExplainRequest(
        model=request.model,
        model_version=request.version,
        image=image_to_proto(request.image),
        latent_ranking=None if ranking is None else ranking_parameters_to_proto(ranking),
        anomaly_score=None if anomaly is None else anomaly_parameters_to_proto(anomaly),
        path_mask=None if mask is None else path_mask_parameters_to_proto(mask),
    )


def image_to_proto(image: ImageInput) -> explanation_pb2.Image:
    if image.array is not None:
        return explanation_pb2.Image(tensor=tensor_to_proto(image.array), resize=image.resize)
    return explanation_pb2.Image(encoded=image.encoded or b"", resize=image.resize)


def ranking_parameters_to_proto(parameters: LatentRankingParameters) -> explanation_pb2.LatentRankingParameters:
    return explanation_pb2.LatentRankingParameters(
        method=enum_to_proto(parameters.method),
        scope=enum_to_proto(parameters.scope),
        measure=enum_to_proto(parameters.measure),
        latent_space=parameters.latent_space,
        target_class=parameters.target_class,
        top_k=parameters.top_k,
        include_responses=parameters.include_responses,
        include_traversals=parameters.include_traversals,
        seed=parameters.seed,
    )


def anomaly_parameters_to_proto(parameters: AnomalyScoreParameters) -> explanation_pb2.AnomalyScoreParameters:
    return explanation_pb2.AnomalyScoreParameters(
        detector=enum_to_proto(parameters.detector),
        level=parameters.level,
        include_reconstruction=parameters.include_reconstruction,
        include_error_map=parameters.include_error_map,
    )


def path_mask_parameters_to_proto(parameters: PathMaskParameters) -> explanation_pb2.PathMaskParameters:
    return explanation_pb2.PathMaskParameters(
        solver=enum_to_proto(parameters.solver),
        interpolation=enum_to_proto(parameters.interpolation),
        seed=parameters.seed,
        include_path=parameters.include_path,
        **{name: getattr(parameters, name) for name in PATH_MASK_OPTIONALS},
    )
