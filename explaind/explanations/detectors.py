"""The two anomaly detectors as arithmetic: scores, shares of a score, and the Mahalanobis fit (DESIGN §3.2).

A logistic regression is fitted in training (scikit-learn); here it is only applied.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from explaind.errors import ExplanationUnsupported
from explaind.explanations.types import AnomalyReference, Detector, DoubleArray, LogisticFit, MahalanobisFit

Fit = MahalanobisFit | LogisticFit
F = TypeVar("F", MahalanobisFit, LogisticFit)


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
    return np.asarray((features - fit.center) / fit.scale)


def scores(fit: Fit, features: DoubleArray) -> DoubleArray:
    """features (B, F) → (B,): Mahalanobis distance, or log-odds of being an outlier. Higher is stranger."""
    d = standardize(fit, features)
    if isinstance(fit, LogisticFit):
        return np.asarray(d @ fit.weights + fit.intercept)
    return np.asarray(np.sqrt(np.maximum(np.sum(d * (d @ fit.precision), axis=1), 0.0)))


def shares(fit: Fit, standardized: DoubleArray) -> DoubleArray:
    """standardized (B, F) → each feature's share of the score (B, F), signed.

    Mahalanobis: d_i·(P d)_i over the squared distance, summing to 1. Logistic: w_i·d_i over Σ|w_j·d_j|.
    All 0 for an image exactly at the center.
    """
    if isinstance(fit, LogisticFit):
        parts = standardized * fit.weights
        total = np.abs(parts).sum(axis=1, keepdims=True)
    else:
        parts = standardized * (standardized @ fit.precision)
        total = parts.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, parts / np.where(total > 0, total, 1.0), 0.0))
