"""Whether a scorer says what the models by themselves and NumPy say: it must, or it does not serve."""

from __future__ import annotations

import numpy as np

from explaind.backends.bundle_models import BundleModels
from explaind.explanations import measurement
from explaind.explanations.anomaly_features import code_statistics
from explaind.explanations.models import Autoencoder, Classifier, FloatArray, Measured
from explaind.explanations.reconstruction_losses import losses

STATISTICS_TOLERANCE = 1e-9
"""Largest difference of a statistic from NumPy's, of the same reconstructions and codes, relative where it is over 1.
Both compute in float64; what they differ in, some 1e-14, is the order of sums."""


def worst_differences(models: BundleModels, images: FloatArray) -> dict[str, tuple[float, float]]:
    """By latent space with a scorer, over images (B, C, H, W): the largest absolute difference of its logits, codes and
    reconstructions from the models', and of its statistics from NumPy's. Infinite where a value is no number."""
    return {
        space: (
            _of_networks(models.classifier, models.autoencoders[space], images, measured),
            _of_statistics(images, measured),
        )
        for space, measured in ((space, scorer.measure(images)) for space, scorer in models.scorers.items())
    }


def _of_networks(classifier: Classifier, autoencoder: Autoencoder, images: FloatArray, measured: Measured) -> float:
    mean, deviation = autoencoder.encode(images)
    expected = (classifier.logits(images), mean, deviation, autoencoder.decode(mean))
    found = (measured.logits, measured.mean, measured.deviation, measured.reconstructions)
    return max(_finite(np.abs(one - other).max()) for one, other in zip(found, expected, strict=True))


def _of_statistics(images: FloatArray, measured: Measured) -> float:
    mean, rebuilt = measured.mean, measured.reconstructions
    expected = measurement.statistics(
        measurement.Reconstruction(mean, rebuilt, losses(images, rebuilt), code_statistics(mean, measured.deviation))
    )
    scale = np.maximum(np.abs(expected), 1.0)
    return _finite((np.abs(measured.statistics - expected) / scale).max())


def _finite(difference: np.floating) -> float:
    return float(difference) if np.isfinite(difference) else float("inf")
