"""What the engine found, as an ExplainResponse."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from explaind.explanations.types import (
    AnomalyBatch,
    AnomalyScoreParameters,
    Explanation,
    LatentRanking,
    PathMask,
    Prediction,
    RankedLatent,
    ReconstructionLosses,
    StageTiming,
)
from explaind.service.convert.answer_form import AnswerForm
from explaind.service.convert.enums import enum_to_proto
from explaind.service.convert.tensors import ImageDtype, image_to_proto, tensor_to_proto
from explaind.v1 import explanation_pb2, explanation_service_pb2

Fields = Any
"""Of a message, by name, as the constructor of the one that holds it takes them too, though its stub does not say so. A
message made by itself would be copied into that."""
_PLAIN = AnswerForm()
LOSSES = ("mse", "mae", "cosine_distance", "ssim", "cross_entropy", "color_cross_entropy", "cross_entropy_excess")


def explanation_to_proto(
    explanation: Explanation,
    *,
    form: AnswerForm = _PLAIN,
    anomaly: AnomalyScoreParameters | None = None,
    request_id: str = "",
) -> explanation_service_pb2.ExplainResponse:
    """anomaly: the parameters asked for; says which images to return."""
    ranking, batch, mask = explanation.latent_ranking, explanation.anomaly, explanation.path_mask
    return explanation_service_pb2.ExplainResponse(
        model=explanation.model,
        model_version=explanation.model_version,
        prediction=prediction_fields(explanation.prediction, explanation.class_names, form.top_classes),
        latent_ranking=None if ranking is None else ranking_to_proto(ranking, form.image_dtype),
        anomaly_score=None
        if batch is None
        else anomaly_fields(batch, anomaly or AnomalyScoreParameters(), form.image_dtype),
        path_mask=None if mask is None else path_mask_to_proto(mask, form.image_dtype),
        provenance=provenance_fields(
            bundle_digest=explanation.bundle_digest,
            image_digest=explanation.image_digest,
            seed=explanation.seed,
            timings=explanation.timings,
            request_id=request_id,
        ),
    )


def prediction_fields(prediction: Prediction, class_names: Sequence[str], top_classes: int | None) -> Fields:
    """Of a Prediction."""
    probabilities: list[float] = prediction.probabilities.tolist()
    order: list[int] = (-prediction.probabilities).argsort(kind="stable")[:top_classes].tolist()
    names = (*class_names, *[""] * (len(probabilities) - len(class_names)))
    return {
        "class_index": prediction.class_index,
        "class_name": names[prediction.class_index],
        "probability": prediction.probability,
        "scores": [
            {"class_index": index, "class_name": names[index], "probability": probabilities[index]} for index in order
        ],
    }


def ranking_to_proto(ranking: LatentRanking, image_dtype: ImageDtype) -> explanation_pb2.LatentRanking:
    return explanation_pb2.LatentRanking(
        method=enum_to_proto(ranking.method),
        scope=enum_to_proto(ranking.scope),
        measure=enum_to_proto(ranking.measure),
        target_class=ranking.target_class,
        latent_space=ranking.latent_space,
        latents=[latent_to_proto(latent, image_dtype) for latent in ranking.latents],
        surrogate_fidelity=ranking.surrogate_fidelity,
        reconstruction_agrees=ranking.reconstruction_agrees,
    )


def latent_to_proto(latent: RankedLatent, image_dtype: ImageDtype) -> explanation_pb2.RankedLatent:
    return explanation_pb2.RankedLatent(
        dimensions=latent.factor.dimensions,
        label=latent.factor.label,
        label_confidence=enum_to_proto(latent.factor.confidence),
        importance=latent.importance,
        direction=latent.direction,
        latent_values=latent.latent_values.tolist(),
        response=() if latent.response is None else latent.response.tolist(),
        traversal=None if latent.traversal is None else image_to_proto(latent.traversal, image_dtype),
        note=latent.note,
    )


def anomaly_fields(batch: AnomalyBatch, parameters: AnomalyScoreParameters, image_dtype: ImageDtype) -> Fields:
    """Of an AnomalyScore: of the first and only image of `batch`."""
    rebuilt = batch.reconstructions[0]
    return {
        "detector": enum_to_proto(batch.detector),
        "score": batch.scores[0],
        "p_value": batch.p_values[0],
        "threshold": batch.threshold,
        "anomalous": bool(batch.anomalous[0]),
        "probability": None if batch.probabilities is None else batch.probabilities[0],
        "losses": losses_fields(batch.losses),
        "kl": batch.kl[0],
        "mean_norm": batch.mean_norms[0],
        "contributions": [
            {"feature": name, "standardized_value": standardized, "share": share}
            for name, standardized, share in batch.contributions[0]
        ],
        "reconstruction": image_to_proto(rebuilt, image_dtype) if parameters.include_reconstruction else None,
        "error_map": tensor_to_proto(batch.error_maps[0]) if parameters.include_error_map else None,
    }


def losses_fields(losses: ReconstructionLosses) -> Fields:
    """Of ReconstructionLosses: of the first image."""
    return {name: getattr(losses, name)[0] for name in LOSSES}


def path_mask_to_proto(mask: PathMask, image_dtype: ImageDtype) -> explanation_pb2.PathMask:
    return explanation_pb2.PathMask(
        self_class=mask.self_class,
        other_class=mask.other_class,
        mask=image_to_proto(mask.mask, image_dtype),
        attribution=tensor_to_proto(mask.attribution),
        other_image=image_to_proto(mask.other_image, image_dtype),
        reconstruction=image_to_proto(mask.reconstruction, image_dtype),
        path=None if mask.path is None else image_to_proto(mask.path, image_dtype),
        gains=mask.gains.tolist(),
        entropies=mask.entropies.tolist(),
        objective=mask.objective,
        stationarity_gap=mask.stationarity_gap,
        probability_change=mask.probability_change,
        completeness_gap=mask.completeness_gap,
        entropy_mean_step=mask.entropy_mean_step,
        entropy_half_width=mask.entropy_half_width,
        outcome=enum_to_proto(mask.outcome),
        reconstruction_agrees=mask.reconstruction_agrees,
        morph_steps=mask.morph_steps,
        latent_distance=mask.latent_distance,
        other_p_value=mask.other_p_value,
        reason=mask.reason,
    )


def provenance_fields(
    *,
    bundle_digest: str,
    timings: Sequence[StageTiming],
    request_id: str,
    image_digest: str = "",
    seed: int = 0,
) -> Fields:
    """Of a Provenance. time: now."""
    seconds, nanos = divmod(time.time_ns(), 10**9)
    return {
        "bundle_digest": bundle_digest,
        "image_digest": image_digest,
        "seed": seed,
        "timings": [{"stage": each.stage, "backend": each.backend, "seconds": each.seconds} for each in timings],
        "request_id": request_id,
        "time": {"seconds": seconds, "nanos": nanos},
    }
