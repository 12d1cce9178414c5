"""What the engine tells Prometheus of each request; label values come from the catalogue and from fixed sets."""

from __future__ import annotations

from explaind.engine.stage_clock import StageClock
from explaind.engine.stages import (
    ANOMALY_SCORE,
    LATENT_COMPARISON,
    LATENT_RANKING,
    LATENT_TRAVERSAL,
    PATH_MASK,
    PREDICT,
    PREDICTION,
)
from explaind.explanations.types import Explanation, PathMaskOutcome
from explaind.metrics import Metrics
from explaind.requests import ScoreResult

_EXPLANATION_OF_STAGE = {
    PREDICT: PREDICTION,
    LATENT_RANKING: LATENT_RANKING,
    ANOMALY_SCORE: ANOMALY_SCORE,
    PATH_MASK: PATH_MASK,
    LATENT_COMPARISON: LATENT_COMPARISON,
    LATENT_TRAVERSAL: LATENT_TRAVERSAL,
}

_WITH_OBJECTIVE = {PathMaskOutcome.CONVERGED, PathMaskOutcome.BEST_SO_FAR}
"""The others have no path to optimise a mask on."""


def observe_stages(metrics: Metrics, model: str, clock: StageClock, image_count: int = 1) -> None:
    """Stages whole; explanations by the image, a batch as one observation of its mean."""
    for timing in clock.timings:
        metrics.stage_seconds_of(timing.stage).observe(timing.seconds)
        explanation = _EXPLANATION_OF_STAGE.get(timing.stage)
        if explanation:
            series = metrics.explanation_seconds_of(explanation, model, timing.backend)
            series.observe(timing.seconds / image_count)


def observe_explanation(metrics: Metrics, explanation: Explanation) -> None:
    """p-value, and what became of the path mask."""
    model = explanation.model
    if explanation.anomaly is not None:
        metrics.anomaly_p_value.labels(model).observe(float(explanation.anomaly.p_values[0]))
    if explanation.path_mask is not None:
        mask = explanation.path_mask
        metrics.path_mask_outcome.labels(model, mask.outcome.value).inc()
        if mask.outcome in _WITH_OBJECTIVE:
            metrics.path_mask_objective.labels(model).observe(mask.objective)
        metrics.morph_steps.labels(model).observe(mask.morph_steps)


def observe_batch(metrics: Metrics, result: ScoreResult, image_count: int) -> None:
    """image_count: images asked about, unusable ones too."""
    metrics.batch_size.labels(result.model).observe(image_count)
    if result.batch is not None:
        for p_value in result.batch.p_values:
            metrics.anomaly_p_value.labels(result.model).observe(float(p_value))
