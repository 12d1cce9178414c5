"""The two anomaly detectors as arithmetic: scores, shares of a score, and the Mahalanobis fit (DESIGN §3.2).

A logistic regression is fitted in training (scikit-learn); here it is only applied.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np

from explaind.errors import ExplanationUnsupported
from explaind.explanations.types import AnomalyReference, Detector, DoubleArray, LogisticFit, MahalanobisFit

Fit = MahalanobisFit | LogisticFit
F = TypeVar("F", MahalanobisFit, LogisticFit)


@dataclass(frozen=True, slots=True)
class Judgement:
    """scores (B,). standardized (B, F): the features' deviations from the usual mean. shares (B, F): each feature's
    part of the score, signed; a Mahalanobis distance's add up to 1."""

    scores: DoubleArray
    standardized: DoubleArray
    shares: DoubleArray


def chosen(reference: AnomalyReference, detector: Detector) -> Fit:
    """The fit of that detector. Raises ExplanationUnsupported where it was not fitted."""
    if detector is Detector.MAHALANOBIS:
        return reference.mahalanobis
    if reference.logistic is None:
        raise ExplanationUnsupported(
            "This bundle's recipe names no outliers, so it has no regression; ask for the Mahalanobis detector.",
            metadata={"field": "anomaly_score.detector"},
        )
    return reference.logistic


def fit_mahalanobis(fit_features: DoubleArray, calibration_features: DoubleArray) -> MahalanobisFit:
    """fit_features (M, F), calibration_features (n, F), disjoint in-distribution images → a calibrated fit.

    A constant feature gets scale 1; a singular covariance is pseudo-inverted.
    Raises ValueError for fewer than two rows to fit or none to calibrate on.
    """
    if len(fit_features) < 2 or not len(calibration_features):
        raise ValueError("a Mahalanobis fit needs at least two images to fit and one to calibrate on")
    center, deviation = fit_features.mean(axis=0), fit_features.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    standardized = (fit_features - center) / scale
    precision = np.linalg.pinv(np.atleast_2d(np.cov(standardized, rowvar=False)), hermitian=True)
    bare = MahalanobisFit(center=center, scale=scale, precision=precision, calibration=np.zeros(0))
    return calibrated(bare, calibration_features)


def calibrated(fit: F, calibration_features: DoubleArray) -> F:
    """The same detector with the rising scores of calibration_features (n, F)."""
    return replace(fit, calibration=np.sort(scores(fit, calibration_features)))


def standardize(fit: Fit, features: DoubleArray) -> DoubleArray:
    """features (B, F) → deviations from the in-distribution mean (B, F)."""
    deviations = features - fit.center
    return np.divide(deviations, fit.scale, out=deviations)


def scores(fit: Fit, features: DoubleArray) -> DoubleArray:
    """features (B, F) → (B,): Mahalanobis distance, or log-odds of being an outlier. Higher is stranger."""
    return judge(fit, features).scores


def judge(fit: Fit, features: DoubleArray) -> Judgement:
    """features (B, F) → scores, and what they are made of.

    Shares, of a Mahalanobis distance: d_i·(P d)_i over the squared distance; of a regression: w_i·d_i over
    Σ|w_j·d_j|. All 0 for an image exactly at the center.
    """
    standardized = standardize(fit, features)
    if isinstance(fit, LogisticFit):
        parts = standardized * fit.weights
        whole = np.abs(parts).sum(axis=1)
        score = standardized @ fit.weights + fit.intercept
    else:
        parts = standardized * (standardized @ fit.precision)
        whole = parts.sum(axis=1)
        score = np.sqrt(np.maximum(whole, 0.0))
    np.divide(parts, np.where(whole > 0, whole, np.inf)[:, None], out=parts)
    return Judgement(score, standardized, parts)
