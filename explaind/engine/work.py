"""What one request computes with one backend, stage by stage."""

from __future__ import annotations

from dataclasses import dataclass, replace

from explaind.backends.bundle_models import BundleModels
from explaind.bundles.bundle import Bundle
from explaind.engine.stage_clock import StageClock, deadline_too_short
from explaind.engine.stages import (
    ANOMALY_SCORE,
    LATENT_COMPARISON,
    LATENT_RANKING,
    LATENT_TRAVERSAL,
    PATH_MASK,
    PREDICT,
)
from explaind.engine.support import anomaly_reference, ranking_space, required, space_with_role
from explaind.explanations import anomaly_score, latent_comparison, latent_ranking, latent_traversal, path_mask
from explaind.explanations.budget import Budget
from explaind.explanations.latent_types import LatentComparison, LatentTraversals, TraversalParameters
from explaind.explanations.models import FloatArray
from explaind.explanations.prediction import predict
from explaind.explanations.types import (
    AnomalyBatch,
    AnomalyScoreParameters,
    Explanation,
    LatentRanking,
    LatentRankingParameters,
    PathMask,
    PathMaskParameters,
    Prediction,
)
from explaind.requests import ExplanationRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One request's computing on one backend: stages are timed, and none begins after cancellation or deadline."""

    bundle: Bundle
    models: BundleModels
    clock: StageClock
    budget: Budget

    def explain(self, request: ExplanationRequest, image: FloatArray, image_digest: str = "") -> Explanation:
        """image (C, H, W). Raises what the explanations raise; BackendUnavailable lets another backend start anew.

        The anomaly score comes first: a scorer classifies in the same call, the whole of which counts as the score's
        time; `predict` is then what the prediction takes besides.
        """
        ranking, anomaly, mask = request.latent_ranking, request.anomaly_score, request.path_mask
        scored = self.score(image[None], anomaly) if anomaly else None
        prediction = self.predict(image[None])[0]
        ranked = self._rank(image, ranking, prediction) if ranking else None
        masked = self._mask(image, mask, prediction) if mask else None
        return Explanation(
            model=self.bundle.name,
            model_version=self.bundle.version,
            prediction=prediction,
            latent_ranking=ranked,
            anomaly=scored,
            path_mask=masked,
            class_names=self.bundle.manifest.class_names,
            bundle_digest=self.bundle.digest,
            image_digest=image_digest,
            seed=mask.seed if mask else ranking.seed if ranking else 0,
            timings=self.clock.timings,
        )

    def predict(self, images: FloatArray) -> tuple[Prediction, ...]:
        self._go_on()
        with self.clock.stage(PREDICT, self.models.backend):
            return predict(self.models.classifier, images)

    def score(self, images: FloatArray, parameters: AnomalyScoreParameters, *, details: bool = True) -> AnomalyBatch:
        """details: as of `anomaly_score.explain`."""
        self._go_on()
        space = space_with_role(self.bundle, "morphing", ANOMALY_SCORE)
        autoencoder = required(self.models.autoencoders.get(space), self.bundle, ANOMALY_SCORE)
        with self.clock.stage(ANOMALY_SCORE, self.models.backend):
            return anomaly_score.explain(
                autoencoder,
                anomaly_reference(self.bundle),
                images,
                parameters,
                scorer=self.models.scorers.get(space),
                budget=self.budget,
                details=details,
            )

    def compare(self, images: FloatArray, space: str) -> LatentComparison:
        """images (2, C, H, W)."""
        self._go_on()
        models = required(self.models.ranking(space), self.bundle, LATENT_RANKING)
        with self.clock.stage(LATENT_COMPARISON, self.models.backend):
            return latent_comparison.compare(
                models.autoencoder, self.bundle.reference.rankings[space], self.bundle.factors[space], images
            )

    def traverse(self, image: FloatArray, parameters: TraversalParameters, prediction: Prediction) -> LatentTraversals:
        """parameters: with the name of the latent space filled in."""
        self._go_on()
        space = parameters.latent_space
        models = required(self.models.ranking(space), self.bundle, LATENT_RANKING)
        with self.clock.stage(LATENT_TRAVERSAL, self.models.backend):
            return latent_traversal.traverse(
                models,
                self.bundle.reference.rankings[space],
                self.bundle.factors[space],
                image,
                parameters,
                prediction=prediction,
                budget=self.budget,
            )

    def _rank(self, image: FloatArray, parameters: LatentRankingParameters, prediction: Prediction) -> LatentRanking:
        self._go_on()
        space = ranking_space(self.bundle, parameters)
        models = required(self.models.ranking(space), self.bundle, LATENT_RANKING)
        with self.clock.stage(LATENT_RANKING, self.models.backend):
            return latent_ranking.explain(
                models,
                self.bundle.reference.rankings[space],
                self.bundle.factors[space],
                image,
                replace(parameters, latent_space=space),
                prediction=prediction,
                budget=self.budget,
            )

    def _mask(self, image: FloatArray, parameters: PathMaskParameters, prediction: Prediction) -> PathMask:
        self._go_on()
        reference = self.bundle.reference
        space = space_with_role(self.bundle, "morphing", PATH_MASK)
        models = required(self.models.morphing(space), self.bundle, PATH_MASK)
        with self.clock.stage(PATH_MASK, self.models.backend):
            return path_mask.explain(
                models,
                required(reference.morph, self.bundle, PATH_MASK),
                reference.anomaly,
                image,
                parameters,
                prediction=prediction,
                budget=self.budget,
            )

    def _go_on(self) -> None:
        self.budget.raise_if_cancelled()
        if self.budget.remaining() <= 0:
            raise deadline_too_short(0.0, sum(timing.seconds for timing in self.clock.timings))
