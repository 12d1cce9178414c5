"""What the engine tells Prometheus of each request; label values come from the catalogue and from fixed sets."""

from __future__ import annotations

from functools import cache

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


class Observing:
    """Of one engine. Each series is looked up once: a look-up costs as much as the observation."""

    def __init__(self, metrics: Metrics) -> None:
        self._stage = cache(metrics.stage_seconds.labels)
        self._explanation = cache(metrics.explanation_seconds.labels)
        self._p_value = cache(metrics.anomaly_p_value.labels)
        self._outcome = cache(metrics.path_mask_outcome.labels)
        self._objective = cache(metrics.path_mask_objective.labels)
        self._morph_steps = cache(metrics.morph_steps.labels)
        self._message_images = cache(metrics.message_images.labels)

    def stages(self, model: str, clock: StageClock, image_count: int = 1) -> None:
        """Stages whole; explanations by the image, a batch as one observation of its mean."""
        for (stage, backend), seconds in clock.seconds.items():
            self._stage(stage).observe(seconds)
            explanation = _EXPLANATION_OF_STAGE.get(stage)
            if explanation:
                self._explanation(explanation, model, backend).observe(seconds / image_count)

    def explanation(self, explanation: Explanation) -> None:
        """p-value, and what became of the path mask."""
        model = explanation.model
        if explanation.anomaly is not None:
            self._p_value(model).observe(float(explanation.anomaly.p_values[0]))
        if explanation.path_mask is not None:
            mask = explanation.path_mask
            self._outcome(model, mask.outcome.value).inc()
            if mask.outcome in _WITH_OBJECTIVE:
                self._objective(model).observe(mask.objective)
            self._morph_steps(model).observe(mask.morph_steps)

    def batch(self, result: ScoreResult, image_count: int) -> None:
        """image_count: images asked about, unusable ones too."""
        self._message_images(result.model).observe(image_count)
        if result.batch is not None:
            observe = self._p_value(result.model).observe
            for p_value in result.batch.p_values:
                observe(float(p_value))
