"""What GetModel tells of a served bundle."""

from __future__ import annotations

from collections.abc import Iterator

from explaind.bundles.bundle import Bundle
from explaind.bundles.manifest import Space
from explaind.explanations import conformal
from explaind.explanations.types import Detector, Factor, RankingReference
from explaind.requests import (
    CalibrationDescription,
    FactorDescription,
    LatentSpaceDescription,
    ModelDescription,
)

USUAL_LEVEL = 0.05


def described(bundle: Bundle) -> ModelDescription:
    """Manifest, labels and calibration of a bundle; of no backend so far."""
    manifest = bundle.manifest
    return ModelDescription(
        name=bundle.name,
        version=bundle.version,
        description=manifest.description,
        class_names=manifest.class_names,
        image_shape=manifest.image_shape,
        latent_spaces=tuple(_space(bundle, space) for space in manifest.spaces),
        calibrations=tuple(_calibrations(bundle)),
        bundle_digest=bundle.digest,
        file_digests=dict(manifest.files),
        backends=(),
        explanations=manifest.explanations,
    )


def _space(bundle: Bundle, space: Space) -> LatentSpaceDescription:
    ranking = bundle.reference.rankings.get(space.name)
    return LatentSpaceDescription(
        name=space.name,
        roles=space.roles,
        latent_count=space.latent_count,
        factors=tuple(_factor(factor, ranking) for factor in bundle.factors[space.name]),
    )


def _factor(factor: Factor, ranking: RankingReference | None) -> FactorDescription:
    """A factor of several latents is used where one of them is, and carries what they carry together."""
    dimensions = list(factor.dimensions)
    if ranking is None:
        return FactorDescription(factor=factor, used=False, mean_kl=0.0)
    return FactorDescription(
        factor=factor, used=bool(ranking.used[dimensions].any()), mean_kl=float(ranking.mean_kl[dimensions].sum())
    )


def _calibrations(bundle: Bundle) -> Iterator[CalibrationDescription]:
    reference = bundle.reference.anomaly
    if reference is None:
        return
    fits = ((Detector.MAHALANOBIS, reference.mahalanobis), (Detector.LOGISTIC_REGRESSION, reference.logistic))
    for detector, fit in fits:
        if fit is not None:
            yield CalibrationDescription(
                detector=detector,
                image_count=len(fit.calibration),
                threshold=conformal.threshold(fit.calibration, USUAL_LEVEL),
            )
