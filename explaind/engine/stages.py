"""The stages of a request, and what decides how long each takes."""

from __future__ import annotations

from explaind.requests import ExplanationRequest

PREDICTION, LATENT_RANKING, ANOMALY_SCORE, PATH_MASK = "prediction", "latent_ranking", "anomaly_score", "path_mask"
DECODE, PREDICT = "decode", "predict"


def kinds(request: ExplanationRequest) -> dict[str, str]:
    """What decides how long each stage takes: kind by stage."""
    found = {DECODE: DECODE, PREDICT: PREDICT}
    if request.latent_ranking:
        found[LATENT_RANKING] = f"{LATENT_RANKING}/{request.latent_ranking.method}/{request.latent_ranking.scope}"
    if request.anomaly_score:
        found[ANOMALY_SCORE] = ANOMALY_SCORE
    if request.path_mask:
        found[PATH_MASK] = f"{PATH_MASK}/{request.path_mask.solver}"
    return found
