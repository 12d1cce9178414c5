"""The stages of a request, and what decides how long each takes."""

from __future__ import annotations

from explaind.explanations.latent_types import TraversalParameters
from explaind.requests import ExplanationRequest

PREDICTION, LATENT_RANKING, ANOMALY_SCORE, PATH_MASK = "prediction", "latent_ranking", "anomaly_score", "path_mask"
LATENT_COMPARISON, LATENT_TRAVERSAL = "latent_comparison", "latent_traversal"
DECODE, PREDICT = "decode", "predict"
CAN_STOP_EARLY = frozenset((PATH_MASK,))

COMPARE_KINDS = {stage: f"{stage}/{LATENT_COMPARISON}" for stage in (DECODE, PREDICT, LATENT_COMPARISON)}
"""As `kinds`, of two images compared."""


def kinds(request: ExplanationRequest) -> dict[str, str]:
    """What decides how long each stage takes: kind by stage."""
    found = {DECODE: DECODE, PREDICT: PREDICT}
    if request.latent_ranking:
        found[LATENT_RANKING] = f"{LATENT_RANKING}/{request.latent_ranking.method}/{request.latent_ranking.scope}"
    if request.anomaly_score:
        found[ANOMALY_SCORE] = ANOMALY_SCORE
        found[PREDICT] = f"{PREDICT}/{ANOMALY_SCORE}"  # whose scorer may have classified the image already
    if request.path_mask:
        found[PATH_MASK] = f"{PATH_MASK}/{request.path_mask.solver}"
    return found


def traverse_kinds(parameters: TraversalParameters) -> dict[str, str]:
    """As `kinds`, of latents moved: by how many images are decoded, doubling by doubling. `dimensions` is filled in."""
    size = (len(parameters.dimensions) * parameters.steps).bit_length()
    return {DECODE: DECODE, PREDICT: PREDICT, LATENT_TRAVERSAL: f"{LATENT_TRAVERSAL}/{size}"}
