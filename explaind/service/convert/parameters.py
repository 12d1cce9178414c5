"""The three parameter messages. Unset means the default of the dataclass, so that there is one place for defaults."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from google.protobuf.message import Message

from explaind.explanations.types import (
    AnomalyScoreParameters,
    Detector,
    ImportanceMeasure,
    Interpolation,
    LatentRankingParameters,
    PathMaskParameters,
    RankingMethod,
    RankingScope,
    Solver,
)
from explaind.service.convert.enums import enum_from_proto
from explaind.v1 import explanation_pb2

_USUAL_SCORE = AnomalyScoreParameters()
PATH_MASK_OPTIONALS = (
    "self_class",
    "other_class",
    "step_count",
    "sparsity",
    "likelihood_weight",
    "max_steps",
    "entropy_threshold",
)


def ranking_parameters_from_proto(
    message: explanation_pb2.LatentRankingParameters, *, field: str = "latent_ranking"
) -> LatentRankingParameters:
    return LatentRankingParameters(
        latent_space=message.latent_space,
        top_k=message.top_k,
        include_responses=message.include_responses,
        include_traversals=message.include_traversals,
        seed=message.seed,
        **given(message, "target_class"),
        **_named(message, field, method=RankingMethod, scope=RankingScope, measure=ImportanceMeasure),
    )


def anomaly_parameters_from_proto(
    message: explanation_pb2.AnomalyScoreParameters, *, field: str = "anomaly_score"
) -> AnomalyScoreParameters:
    if not message.ByteSize():  # nothing is set
        return _USUAL_SCORE
    return AnomalyScoreParameters(
        include_reconstruction=message.include_reconstruction,
        include_error_map=message.include_error_map,
        **given(message, "level"),
        **_named(message, field, detector=Detector),
    )


def path_mask_parameters_from_proto(
    message: explanation_pb2.PathMaskParameters, *, field: str = "path_mask"
) -> PathMaskParameters:
    return PathMaskParameters(
        seed=message.seed,
        include_path=message.include_path,
        **given(message, *PATH_MASK_OPTIONALS),
        **_named(message, field, solver=Solver, interpolation=Interpolation),
    )


def given(message: Message, *names: str) -> dict[str, Any]:
    """The optional fields that the caller set."""
    return {name: getattr(message, name) for name in names if message.HasField(name)}


def _named(message: Message, field: str, **kinds: type[StrEnum]) -> dict[str, Any]:
    """The enums that the caller set. Raises ParameterOutOfRange naming the one that this version does not know."""
    numbers = {name: getattr(message, name) for name in kinds}
    return {
        name: enum_from_proto(kinds[name], number, default=None, field=f"{field}.{name}")
        for name, number in numbers.items()
        if number
    }
