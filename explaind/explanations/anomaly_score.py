"""Is this image from the distribution the classifier was trained on? Judged by how a VAE rebuilds it [AN]."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np

from explaind.explanations import conformal, detectors
from explaind.explanations.anomaly_features import (
    MAHALANOBIS_FEATURES,
    features,
    mahalanobis_features,
    supervised_features,
    supervised_names,
)
from explaind.explanations.budget import Budget
from explaind.explanations.detectors import Judgement, calibrated, fit_mahalanobis
from explaind.explanations.measurement import reconstruction
from explaind.explanations.models import Autoencoder, Scorer
from explaind.explanations.types import (
    AnomalyBatch,
    AnomalyReference,
    AnomalyScoreParameters,
    Contribution,
    Detector,
    DoubleArray,
    FloatArray,
    ReconstructionLosses,
)

__all__ = [
    "MAHALANOBIS_FEATURES",
    "calibrated",
    "explain",
    "features",
    "fit_mahalanobis",
    "joined",
    "rebuilt_p_values",
    "supervised_features",
    "supervised_names",
]

_LOSSES = tuple(field.name for field in fields(ReconstructionLosses))
_LISTED_LATENTS = 12  # of the regression's hundred-odd features, those with the largest shares


def explain(
    autoencoder: Autoencoder,
    reference: AnomalyReference,
    images: FloatArray,
    parameters: AnomalyScoreParameters,
    *,
    scorer: Scorer | None = None,
    budget: Budget | None = None,
    details: bool = True,
) -> AnomalyBatch:
    """images: float32 (B, C, H, W) in [0, 1] → scores, conformal p-values and losses of each. (DESIGN §3.2)

    scorer: of the same autoencoder, asked instead of it where there is one: the same numbers of one call.
    details: contributions, reconstructions and, where `parameters` ask for them, error maps too. Mahalanobis
    contributions sum to 1 an image; the regression's are the 12 largest.
    Raises ParameterOutOfRange for a level below 1/(n + 1), ShapeMismatch for images under 11 pixels,
    ExplanationUnsupported where the bundle has no regression, Cancelled.
    """
    fit = detectors.chosen(reference, parameters.detector)
    conformal.check_level(parameters.level, fit.calibration)
    found = reconstruction(autoencoder, images, scorer=scorer, budget=budget)
    parts, codes, rebuilt = found.losses, found.codes, found.images
    supervised = parameters.detector is Detector.LOGISTIC_REGRESSION
    channels = images.shape[1]
    columns = supervised_features(parts, found.mean, channels) if supervised else mahalanobis_features(parts, codes)
    names = supervised_names(channels, found.mean.shape[1]) if supervised else MAHALANOBIS_FEATURES
    judgement = detectors.judge(fit, columns)
    threshold = conformal.threshold(fit.calibration, parameters.level)
    mapped = details and parameters.include_error_map
    return AnomalyBatch(
        detector=parameters.detector,
        scores=judgement.scores,
        p_values=conformal.p_values(judgement.scores, fit.calibration),
        threshold=threshold,
        anomalous=judgement.scores > threshold,
        probabilities=_sigmoid(judgement.scores) if supervised else None,
        losses=parts,
        kl=codes.kl,
        mean_norms=codes.mean_norms,
        contributions=_contributions(judgement, names) if details else (),
        reconstructions=rebuilt if details else rebuilt[:0].copy(),
        error_maps=_error_maps(images, rebuilt) if mapped else np.zeros((0, *images.shape[2:]), np.float32),
    )


def joined(batches: Sequence[AnomalyBatch]) -> AnomalyBatch:
    """The numbers of at least one batch without details, by the same detector at the same level, one after another."""
    return replace(
        batches[0],
        probabilities=None if batches[0].probabilities is None else _column(batches, "probabilities"),
        losses=ReconstructionLosses(**{name: _column([each.losses for each in batches], name) for name in _LOSSES}),
        **{name: _column(batches, name) for name in ("scores", "p_values", "anomalous", "kl", "mean_norms")},
    )


def _column(parts: Sequence[object], name: str) -> Any:
    return np.concatenate([getattr(part, name) for part in parts])


def rebuilt_p_values(
    autoencoder: Autoencoder,
    reference: AnomalyReference,
    images: FloatArray,
    *,
    scorer: Scorer | None = None,
    budget: Budget | None = None,
) -> DoubleArray:
    """Decoded images (B, C, H, W) → p-values (B,) among *reconstructions* of held-out images (DESIGN §3.3).

    Decoded images rebuild too well for the ordinary calibration. scorer: as of `explain`.
    """
    again = reconstruction(autoencoder, images, scorer=scorer, budget=budget)
    score = detectors.scores(reference.rebuilt, mahalanobis_features(again.losses, again.codes))
    return conformal.p_values(score, reference.rebuilt.calibration)


def _contributions(judgement: Judgement, names: tuple[str, ...]) -> tuple[tuple[Contribution, ...], ...]:
    rows = zip(judgement.standardized.tolist(), judgement.shares.tolist(), strict=True)
    return tuple(_largest(names, standardized, shares) for standardized, shares in rows)


def _largest(names: tuple[str, ...], standardized: list[float], shares: list[float]) -> tuple[Contribution, ...]:
    """Of one image, those with the largest shares; equals keep their order."""
    order = sorted(range(len(shares)), key=[-abs(share) for share in shares].__getitem__)[:_LISTED_LATENTS]
    return tuple([Contribution(names[i], standardized[i], shares[i]) for i in order])


def _error_maps(images: FloatArray, rebuilt: FloatArray) -> FloatArray:
    """(B, C, H, W) each → squared differences, averaged over channels (B, H, W)."""
    difference = images - rebuilt
    if len(difference[0]) == 1:
        return np.asarray(difference[:, 0] * difference[:, 0], dtype=np.float32)
    total = (difference * difference).sum(axis=1, dtype=np.float64)
    return np.asarray(total / images.shape[1], dtype=np.float32)


def _sigmoid(log_odds: DoubleArray) -> DoubleArray:
    """Without overflow for large |log-odds|."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * log_odds)))
