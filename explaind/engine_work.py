"""What one request computes with one backend, stage by stage; and whether it may be asked of a bundle at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from explaind.backends.bundle_models import BundleModels
from explaind.bundles.bundle import Bundle
from explaind.bundles.manifest import Role
from explaind.errors import ExplanationUnsupported, ParameterOutOfRange
from explaind.explanations import anomaly_score, conformal, latent_ranking, path_mask, path_mask_parameters
from explaind.explanations.budget import Budget
from explaind.explanations.models import Autoencoder, FloatArray, MorphingModels, RankingModels
from explaind.explanations.prediction import predict
from explaind.explanations.types import (
    AnomalyBatch,
    AnomalyReference,
    AnomalyScoreParameters,
    Detector,
    Explanation,
    LatentRanking,
    LatentRankingParameters,
    PathMask,
    PathMaskParameters,
    Prediction,
)
from explaind.requests import ExplanationRequest
from explaind.stage_clock import StageClock, deadline_too_short

PREDICTION, LATENT_RANKING, ANOMALY_SCORE, PATH_MASK = "prediction", "latent_ranking", "anomaly_score", "path_mask"
DECODE, PREDICT = "decode", "predict"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One request's computing on one backend: stages are timed, and none begins after cancellation or deadline."""

    bundle: Bundle
    models: BundleModels
    clock: StageClock
    budget: Budget

    def explain(self, request: ExplanationRequest, image: FloatArray) -> Explanation:
        """image (C, H, W). Raises what the explanations raise; BackendUnavailable lets another backend start anew."""
        prediction = self.predict(image[None])[0]
        ranking, anomaly, mask = request.latent_ranking, request.anomaly_score, request.path_mask
        return Explanation(
            model=self.bundle.name,
            model_version=self.bundle.version,
            prediction=prediction,
            latent_ranking=self._rank(image, ranking, prediction) if ranking else None,
            anomaly=self.score(image[None], anomaly) if anomaly else None,
            path_mask=self._mask(image, mask, prediction) if mask else None,
            class_names=self.bundle.manifest.class_names,
            bundle_digest=self.bundle.digest,
            seed=mask.seed if mask else ranking.seed if ranking else 0,
        )

    def predict(self, images: FloatArray) -> tuple[Prediction, ...]:
        self._go_on()
        with self.clock.stage(PREDICT, self.models.backend):
            return predict(self.models.classifier, images)

    def score(self, images: FloatArray, parameters: AnomalyScoreParameters) -> AnomalyBatch:
        self._go_on()
        autoencoder = self._autoencoder(space_with_role(self.bundle, "morphing", ANOMALY_SCORE), ANOMALY_SCORE)
        with self.clock.stage(ANOMALY_SCORE, self.models.backend):
            return anomaly_score.explain(
                autoencoder, anomaly_reference(self.bundle), images, parameters, budget=self.budget
            )

    def _rank(self, image: FloatArray, parameters: LatentRankingParameters, prediction: Prediction) -> LatentRanking:
        self._go_on()
        space = ranking_space(self.bundle, parameters)
        models = RankingModels(self.models.classifier, self._autoencoder(space, LATENT_RANKING))
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
        models = self._morphing_models()
        with self.clock.stage(PATH_MASK, self.models.backend):
            return path_mask.explain(
                models,
                _required(reference.morph, self.bundle, PATH_MASK),
                reference.anomaly,
                image,
                parameters,
                prediction=prediction,
                budget=self.budget,
            )

    def _morphing_models(self) -> MorphingModels:
        space = space_with_role(self.bundle, "morphing", PATH_MASK)
        return MorphingModels(
            self.models.classifier,
            _required(self.models.classifier_gradient, self.bundle, PATH_MASK),
            self._autoencoder(space, PATH_MASK),
            _required(self.models.morph_gradients.get(space), self.bundle, PATH_MASK),
        )

    def _autoencoder(self, space: str, explanation: str) -> Autoencoder:
        return _required(self.models.autoencoders.get(space), self.bundle, explanation)

    def _go_on(self) -> None:
        self.budget.raise_if_cancelled()
        if self.budget.remaining() <= 0:
            raise deadline_too_short(0.0, sum(timing.seconds for timing in self.clock.timings))


def check(bundle: Bundle, request: ExplanationRequest) -> None:
    """Everything that can be refused before the image is looked at.

    Raises ExplanationUnsupported where the bundle lacks what is asked, ParameterOutOfRange naming the field.
    """
    if request.latent_ranking:
        _require_support(bundle, LATENT_RANKING)
        ranking_space(bundle, request.latent_ranking)
        latent_ranking.checked_measure(request.latent_ranking)
    if request.anomaly_score:
        check_score(bundle, request.anomaly_score)
    if request.path_mask:
        _require_support(bundle, PATH_MASK)
        path_mask_parameters.check(request.path_mask, len(bundle.manifest.class_names))


def check_score(bundle: Bundle, parameters: AnomalyScoreParameters) -> None:
    """As `check`, of an anomaly score alone."""
    _require_support(bundle, ANOMALY_SCORE)
    conformal.check_level(parameters.level, calibration(bundle, parameters.detector))


def calibration(bundle: Bundle, detector: Detector) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Rising scores of held-out images by that detector. Raises ExplanationUnsupported where it was not fitted."""
    reference = anomaly_reference(bundle)
    if detector is Detector.MAHALANOBIS:
        return reference.mahalanobis.calibration
    return _required(reference.logistic, bundle, f"the {detector} detector").calibration


def anomaly_reference(bundle: Bundle) -> AnomalyReference:
    return _required(bundle.reference.anomaly, bundle, ANOMALY_SCORE)


def space_with_role(bundle: Bundle, role: Role, explanation: str) -> str:
    return _required(bundle.manifest.space_with_role(role), bundle, explanation).name


def ranking_space(bundle: Bundle, parameters: LatentRankingParameters) -> str:
    """The space asked for, or the bundle's own. Raises ParameterOutOfRange for one that cannot be ranked."""
    if not parameters.latent_space:
        return space_with_role(bundle, "ranking", LATENT_RANKING)
    ranked = sorted(bundle.reference.rankings)
    if parameters.latent_space not in ranked:
        raise ParameterOutOfRange(
            f"There is no latent space {parameters.latent_space[:64]!r} to rank; there is {', '.join(ranked)}.",
            field="latent_ranking.latent_space",
            metadata={"latent_spaces": ", ".join(ranked)},
        )
    return parameters.latent_space


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


def _require_support(bundle: Bundle, explanation: str) -> None:
    if not bundle.supports(explanation):
        raise _unsupported(bundle, explanation)


def _required(found: T | None, bundle: Bundle, explanation: str) -> T:
    if found is None:
        raise _unsupported(bundle, explanation)
    return found


def _unsupported(bundle: Bundle, explanation: str) -> ExplanationUnsupported:
    offered = ", ".join(bundle.manifest.explanations) or "nothing"
    return ExplanationUnsupported(
        f"Model {bundle.name} version {bundle.version} has no {explanation}; it offers {offered}.",
        metadata={"model": bundle.name, "version": bundle.version, "explanation": explanation, "offered": offered},
    )
