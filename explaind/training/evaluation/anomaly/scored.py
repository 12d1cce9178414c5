"""Images as both detectors and each loss see them, rebuilt once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explaind.errors import BundleInvalid
from explaind.explanations import anomaly_score, conformal, detectors
from explaind.explanations.anomaly_features import supervised_features
from explaind.explanations.types import (
    AnomalyReference,
    AnomalyScoreParameters,
    BoolArray,
    Detector,
    DoubleArray,
    FloatArray,
    ReconstructionLosses,
)
from explaind.training.evaluation.subject import Subject

LEVEL = 0.05
SINGLE_LOSSES = ("mse", "mae", "cosine_distance", "one_minus_ssim", "cross_entropy", "color_cross_entropy",
                 "cross_entropy_excess")  # fmt: skip
"""The six of [AN], and the excess over H(x) that is used in place of the cross entropies (DESIGN §3.2)."""


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """One detector's answers, (B,) each. anomalous: at LEVEL."""

    scores: DoubleArray
    p_values: DoubleArray
    anomalous: BoolArray


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """images, reconstructions (B, C, H, W); losses: by SINGLE_LOSSES, (B,) each, higher is stranger; supervised:
    features of the regression (B, 5 or 6 + D); verdicts: by detector, those that the bundle has."""

    images: FloatArray
    reconstructions: FloatArray
    losses: Mapping[str, DoubleArray]
    supervised: DoubleArray
    verdicts: Mapping[Detector, Verdicts]

    def __len__(self) -> int:
        return len(self.images)


def anomaly_reference(subject: Subject) -> AnomalyReference:
    """Raises BundleInvalid where the bundle was built without a morphing space."""
    if subject.reference.anomaly is None:
        raise BundleInvalid(
            f"{subject.folder} has no anomaly score; give a space the role morphing and train it again."
        )
    return subject.reference.anomaly


def scored(subject: Subject, images: FloatArray) -> Scored:
    """images (B, C, H, W) → what the served detectors say of them, at LEVEL or the least level there is."""
    reference = anomaly_reference(subject)
    batch = anomaly_score.explain(
        subject.autoencoder, reference, images, AnomalyScoreParameters(level=level_of(reference))
    )
    mean, _ = subject.autoencoder.encode(images)
    columns = supervised_features(batch.losses, mean, images.shape[1])
    verdicts = {Detector.MAHALANOBIS: Verdicts(batch.scores, batch.p_values, batch.anomalous)}
    if reference.logistic is not None:
        scores = detectors.scores(reference.logistic, columns)
        threshold = conformal.threshold(reference.logistic.calibration, level_of(reference))
        p_values = conformal.p_values(scores, reference.logistic.calibration)
        verdicts[Detector.LOGISTIC_REGRESSION] = Verdicts(scores, p_values, scores > threshold)
    return Scored(images, batch.reconstructions, single_losses(batch.losses), columns, verdicts)


def level_of(reference: AnomalyReference) -> float:
    """LEVEL; with fewer than 19 calibration images the least there can be."""
    return max(LEVEL, 1 / (len(reference.mahalanobis.calibration) + 1))


def single_losses(losses: ReconstructionLosses) -> Mapping[str, DoubleArray]:
    """By SINGLE_LOSSES, all such that higher is worse rebuilt."""
    return {
        "mse": losses.mse,
        "mae": losses.mae,
        "cosine_distance": losses.cosine_distance,
        "one_minus_ssim": np.asarray(1 - losses.ssim),
        "cross_entropy": losses.cross_entropy,
        "color_cross_entropy": losses.color_cross_entropy,
        "cross_entropy_excess": losses.cross_entropy_excess,
    }
