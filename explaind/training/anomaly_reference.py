"""The anomaly detectors' fits and calibration (DESIGN §3.2, §3.3).

Fitted on validation images, which no network was fitted on: a VAE rebuilds its own training images a little too
well. Calibrated on images that decided nothing else, or p-values would not be valid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from explaind.explanations import anomaly_features, detectors
from explaind.explanations.models import Autoencoder
from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import AnomalyReference, DoubleArray, FloatArray, LogisticFit, MahalanobisFit


@dataclass(frozen=True, slots=True)
class _Rebuilt:
    """Images with their codes and reconstructions."""

    images: FloatArray
    mean: FloatArray
    deviation: FloatArray
    reconstructions: FloatArray

    def features(self) -> DoubleArray:
        return anomaly_features.features(self.images, self.reconstructions, self.mean, self.deviation)

    def supervised(self) -> DoubleArray:
        parts = losses(self.images, self.reconstructions)
        return anomaly_features.supervised_features(parts, self.mean, self.images.shape[1])


def fit_anomaly(
    autoencoder: Autoencoder, fitting: FloatArray, calibration: FloatArray, outliers: FloatArray | None
) -> AnomalyReference:
    """fitting, calibration: disjoint in-distribution images (N, C, H, W); outliers: known ones, None for none."""
    fitted, calibrated = _rebuild(autoencoder, fitting), _rebuild(autoencoder, calibration)
    logistic = None
    if outliers is not None:
        logistic = _fit_logistic(
            fitted.supervised(), _rebuild(autoencoder, outliers).supervised(), calibrated.supervised()
        )
    return AnomalyReference(
        mahalanobis=detectors.fit_mahalanobis(fitted.features(), calibrated.features()),
        logistic=logistic,
        rebuilt=_fit_on_reconstructions(autoencoder, fitted, calibrated),
    )


def _fit_on_reconstructions(autoencoder: Autoencoder, fitted: _Rebuilt, calibrated: _Rebuilt) -> MahalanobisFit:
    again = [_rebuild(autoencoder, part.reconstructions).features() for part in (fitted, calibrated)]
    return detectors.fit_mahalanobis(again[0], again[1])


def _fit_logistic(inside: DoubleArray, outside: DoubleArray, calibration: DoubleArray) -> LogisticFit:
    """Log-odds of being an outlier from features standardised by the in-distribution ones ([AN]); both kinds weigh
    alike however many there are."""
    center, deviation = inside.mean(axis=0), inside.std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    rows = (np.concatenate([inside, outside]) - center) / scale
    kinds = np.repeat([0, 1], [len(inside), len(outside)])
    model = LogisticRegression(class_weight="balanced", max_iter=5000).fit(rows, kinds)
    bare = LogisticFit(
        center=center,
        scale=scale,
        weights=np.asarray(model.coef_[0], dtype=np.float64),
        intercept=float(model.intercept_[0]),
        calibration=np.zeros(0),
    )
    return detectors.calibrated(bare, calibration)


def _rebuild(autoencoder: Autoencoder, images: FloatArray) -> _Rebuilt:
    mean, deviation = autoencoder.encode(images)
    return _Rebuilt(images, mean, deviation, autoencoder.decode(mean))
