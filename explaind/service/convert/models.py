"""What the engine knows of its models."""

from __future__ import annotations

from collections.abc import Sequence

from explaind.requests import (
    BackendState,
    CalibrationDescription,
    FactorDescription,
    LatentSpaceDescription,
    ModelDescription,
    ModelSummary,
)
from explaind.service.convert.enums import enum_to_proto
from explaind.v1 import model_service_pb2


def list_models_to_proto(summaries: Sequence[ModelSummary]) -> model_service_pb2.ListModelsResponse:
    return model_service_pb2.ListModelsResponse(models=[_summary_to_proto(summary) for summary in summaries])


def model_to_proto(model: ModelDescription) -> model_service_pb2.Model:
    return model_service_pb2.Model(
        name=model.name,
        version=model.version,
        description=model.description,
        class_names=model.class_names,
        image_shape=model.image_shape,
        latent_spaces=[_space_to_proto(space) for space in model.latent_spaces],
        calibrations=[_calibration_to_proto(calibration) for calibration in model.calibrations],
        bundle_digest=model.bundle_digest,
        file_digests=model.file_digests,
        backends=[_backend_to_proto(state) for state in model.backends],
        explanations=model.explanations,
    )


def _summary_to_proto(summary: ModelSummary) -> model_service_pb2.ModelSummary:
    return model_service_pb2.ModelSummary(
        name=summary.name,
        versions=summary.versions,
        default_version=summary.versions[-1] if summary.versions else "",
        description=summary.description,
    )


def _space_to_proto(space: LatentSpaceDescription) -> model_service_pb2.LatentSpace:
    return model_service_pb2.LatentSpace(
        name=space.name,
        roles=space.roles,
        latent_count=space.latent_count,
        factors=[_factor_to_proto(description) for description in space.factors],
    )


def _factor_to_proto(description: FactorDescription) -> model_service_pb2.LatentFactor:
    return model_service_pb2.LatentFactor(
        dimensions=description.factor.dimensions,
        label=description.factor.label,
        label_confidence=enum_to_proto(description.factor.confidence),
        used=description.used,
        mean_kl=description.mean_kl,
    )


def _calibration_to_proto(calibration: CalibrationDescription) -> model_service_pb2.Calibration:
    return model_service_pb2.Calibration(
        detector=enum_to_proto(calibration.detector),
        image_count=calibration.image_count,
        threshold=calibration.threshold,
    )


def _backend_to_proto(state: BackendState) -> model_service_pb2.BackendStatus:
    return model_service_pb2.BackendStatus(name=state.name, alive=state.alive, detail=state.detail)
