"""What the engine found, as an ExplainResponse.

The parts are told as `Fields`, and one constructor makes the whole answer of them: messages made one by one would be
copied into each other, at twice the cost, their pixels too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

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
from explaind.service.convert.tensors import Fields, ImageDtype, image_fields, tensor_fields
from explaind.v1 import explanation_service_pb2

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
        latent_ranking=None if ranking is None else ranking_fields(ranking, form.image_dtype),
        anomaly_score=None
        if batch is None
        else anomaly_fields(batch, anomaly or AnomalyScoreParameters(), form.image_dtype),
        path_mask=None if mask is None else path_mask_fields(mask, form.image_dtype),
        provenance=provenance_fields(
            bundle_digest=explanation.bundle_digest,
            image_digest=explanation.image_digest,
            seed=explanation.seed,
            timings=explanation.timings,
            request_id=request_id,
        ),
    )


def prediction_fields(prediction: Prediction, class_names: Sequence[str], top_classes: int | None) -> Fields:
    order: list[int] = np.argsort(-prediction.probabilities, kind="stable")[:top_classes].tolist()
    probabilities: list[float] = prediction.probabilities.tolist()
    scores = [
        {"class_index": index, "class_name": _name(class_names, index), "probability": probabilities[index]}
        for index in order
    ]
    return {
        "class_index": prediction.class_index,
        "class_name": _name(class_names, prediction.class_index),
        "probability": prediction.probability,
        "scores": scores,
    }


def ranking_fields(ranking: LatentRanking, image_dtype: ImageDtype) -> Fields:
    return {
        "method": enum_to_proto(ranking.method),
        "scope": enum_to_proto(ranking.scope),
        "measure": enum_to_proto(ranking.measure),
        "target_class": ranking.target_class,
        "latent_space": ranking.latent_space,
        "latents": [latent_fields(latent, image_dtype) for latent in ranking.latents],
        "surrogate_fidelity": ranking.surrogate_fidelity,
        "reconstruction_agrees": ranking.reconstruction_agrees,
    }


def latent_fields(latent: RankedLatent, image_dtype: ImageDtype) -> Fields:
    return {
        "dimensions": latent.factor.dimensions,
        "label": latent.factor.label,
        "label_confidence": enum_to_proto(latent.factor.confidence),
        "importance": latent.importance,
        "direction": latent.direction,
        "latent_values": latent.latent_values.tolist(),
        "response": () if latent.response is None else latent.response.tolist(),
        "traversal": None if latent.traversal is None else image_fields(latent.traversal, image_dtype),
        "note": latent.note,
    }


def anomaly_fields(batch: AnomalyBatch, parameters: AnomalyScoreParameters, image_dtype: ImageDtype) -> Fields:
    """The first and only image of `batch`."""
    rebuilt = batch.reconstructions[0]
    contributions = [
        {"feature": c.feature, "standardized_value": c.standardized_value, "share": c.share}
        for c in batch.contributions[0]
    ]
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
        "contributions": contributions,
        "reconstruction": image_fields(rebuilt, image_dtype) if parameters.include_reconstruction else None,
        "error_map": tensor_fields(batch.error_maps[0]) if parameters.include_error_map else None,
    }


def losses_fields(losses: ReconstructionLosses) -> Fields:
    return dict(**{name: float(getattr(losses, name)[0]) for name in LOSSES})


def path_mask_fields(mask: PathMask, image_dtype: ImageDtype) -> Fields:
    return {
        "self_class": mask.self_class,
        "other_class": mask.other_class,
        "mask": image_fields(mask.mask, image_dtype),
        "attribution": tensor_fields(mask.attribution),
        "other_image": image_fields(mask.other_image, image_dtype),
        "reconstruction": image_fields(mask.reconstruction, image_dtype),
        "path": None if mask.path is None else image_fields(mask.path, image_dtype),
        "gains": mask.gains.tolist(),
        "entropies": mask.entropies.tolist(),
        "objective": mask.objective,
        "stationarity_gap": mask.stationarity_gap,
        "probability_change": mask.probability_change,
        "completeness_gap": mask.completeness_gap,
        "entropy_mean_step": mask.entropy_mean_step,
        "entropy_half_width": mask.entropy_half_width,
        "outcome": enum_to_proto(mask.outcome),
        "reconstruction_agrees": mask.reconstruction_agrees,
        "morph_steps": mask.morph_steps,
        "latent_distance": mask.latent_distance,
        "other_p_value": mask.other_p_value,
        "reason": mask.reason,
    }


def provenance_fields(
    *,
    bundle_digest: str,
    timings: Sequence[StageTiming],
    request_id: str,
    image_digest: str = "",
    seed: int = 0,
) -> Fields:
    """time: now."""
    seconds, nanos = divmod(time.time_ns(), 10**9)
    stages = [{"stage": t.stage, "backend": t.backend, "seconds": t.seconds} for t in timings]
    return {
        "bundle_digest": bundle_digest,
        "image_digest": image_digest,
        "seed": seed,
        "timings": stages,
        "request_id": request_id,
        "time": {"seconds": seconds, "nanos": nanos},
    }


def _name(class_names: Sequence[str], index: int) -> str:
    return class_names[index] if 0 <= index < len(class_names) else ""
