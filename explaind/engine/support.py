"""Whether a request may be asked of a bundle at all, and what the bundle holds for it."""

from __future__ import annotations

from typing import TypeVar

from explaind.bundles.bundle import Bundle
from explaind.bundles.manifest import Role
from explaind.engine.stages import ANOMALY_SCORE, LATENT_RANKING, PATH_MASK
from explaind.errors import ExplanationUnsupported, ParameterOutOfRange
from explaind.explanations import answer_size, conformal, detectors, latent_ranking, path_mask_parameters
from explaind.explanations.types import (
    AnomalyReference,
    AnomalyScoreParameters,
    Detector,
    DoubleArray,
    LatentRankingParameters,
)
from explaind.requests import ExplanationRequest

T = TypeVar("T")


def check(bundle: Bundle, request: ExplanationRequest) -> None:
    """Everything that can be refused before the image is looked at.

    Raises ExplanationUnsupported where the bundle lacks what is asked, ParameterOutOfRange naming the field.
    """
    path_images = 0
    if request.path_mask:
        _require_support(bundle, PATH_MASK)
        path_mask_parameters.check(request.path_mask, len(bundle.manifest.class_names))
        path_images = answer_size.check_path(request.path_mask, bundle.manifest.image_shape)
    if request.latent_ranking:
        _check_ranking(bundle, request.latent_ranking, path_images)
    if request.anomaly_score:
        check_score(bundle, request.anomaly_score)


def _check_ranking(bundle: Bundle, parameters: LatentRankingParameters, path_images: int) -> None:
    space = ranking_space(bundle, parameters)
    latent_ranking.checked_measure(parameters)
    used, shape = bundle.reference.rankings[space].used, bundle.manifest.image_shape
    answer_size.check_traversals(parameters, bundle.factors[space], used, shape, others=path_images)


def check_score(bundle: Bundle, parameters: AnomalyScoreParameters, *, field: str = "anomaly_score") -> None:
    """As `check`, of an anomaly score alone. field: of the request, that holds the parameters."""
    _require_support(bundle, ANOMALY_SCORE)
    conformal.check_level(parameters.level, calibration(bundle, parameters.detector), field=f"{field}.level")


def calibration(bundle: Bundle, detector: Detector) -> DoubleArray:
    """Rising scores of held-out images by that detector. Raises ExplanationUnsupported where it was not fitted."""
    return detectors.chosen(anomaly_reference(bundle), detector).calibration


def anomaly_reference(bundle: Bundle) -> AnomalyReference:
    """Raises ExplanationUnsupported where the bundle has none."""
    return required(bundle.reference.anomaly, bundle, ANOMALY_SCORE)


def space_with_role(bundle: Bundle, role: Role, explanation: str) -> str:
    """Name of the latent space with that role. Raises ExplanationUnsupported where the bundle has none."""
    return required(bundle.manifest.space_with_role(role), bundle, explanation).name


def ranking_space(bundle: Bundle, parameters: LatentRankingParameters) -> str:
    """The space asked for, or the bundle's own. Raises ParameterOutOfRange for one that cannot be ranked."""
    return latent_space(bundle, parameters.latent_space, field="latent_ranking.latent_space")


def latent_space(bundle: Bundle, name: str, *, field: str = "latent_space") -> str:
    """As `ranking_space`, by name. Raises ExplanationUnsupported where the bundle ranks no latents at all."""
    _require_support(bundle, LATENT_RANKING)
    if not name:
        return space_with_role(bundle, "ranking", LATENT_RANKING)
    ranked = sorted(bundle.reference.rankings)
    if name not in ranked:
        raise ParameterOutOfRange(
            f"There is no latent space {name[:64]!r} with statistics; there is {', '.join(ranked)}.",
            field=field,
            metadata={"latent_spaces": ", ".join(ranked)},
        )
    return name


def required(found: T | None, bundle: Bundle, explanation: str) -> T:
    """What the explanation needs. Raises ExplanationUnsupported where the bundle has none."""
    if found is None:
        raise _unsupported(bundle, explanation)
    return found


def _require_support(bundle: Bundle, explanation: str) -> None:
    if not bundle.supports(explanation):
        raise _unsupported(bundle, explanation)


def _unsupported(bundle: Bundle, explanation: str) -> ExplanationUnsupported:
    offered = ", ".join(bundle.manifest.explanations) or "nothing"
    return ExplanationUnsupported(
        f"Model {bundle.name} version {bundle.version} has no {explanation}; it offers {offered}.",
        metadata={"model": bundle.name, "version": bundle.version, "explanation": explanation, "offered": offered},
    )
