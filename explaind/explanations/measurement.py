"""What an anomaly score is made of: how a VAE rebuilds images, and how far that is from them (DESIGN §3.2).

Two ways to the same numbers: the autoencoder is asked and the rest is NumPy, or a backend's `Scorer` has it all of one
call.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.explanations.anomaly_features import CodeStatistics, code_statistics
from explaind.explanations.budget import Budget
from explaind.explanations.models import Autoencoder, Measured, Scorer
from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import DoubleArray, FloatArray, ReconstructionLosses

STATISTICS = (
    "mse",
    "mae",
    "ssim",
    "cross_entropy",
    "color_cross_entropy",
    "cross_entropy_excess",
    "kl",
    "cosine_distance",
    "mean_norm",
    "deviation_norm",
)
"""Columns of `Measured.statistics`: `ReconstructionLosses` and `CodeStatistics`."""


@dataclass(frozen=True, slots=True)
class Reconstruction:
    """Of B images. mean (B, D): μ(x). images (B, C, H, W): dec(μ(x)), in [0, 1]."""

    mean: FloatArray
    images: FloatArray
    losses: ReconstructionLosses
    codes: CodeStatistics


def reconstruction(
    autoencoder: Autoencoder, images: FloatArray, *, scorer: Scorer | None = None, budget: Budget | None = None
) -> Reconstruction:
    """images: float32 (B, C, H, W) in [0, 1]. scorer: of the same autoencoder, asked instead of it where there is one.

    Raises ShapeMismatch for images under 11 pixels, Cancelled.
    """
    images, budget = np.ascontiguousarray(images, dtype=np.float32), budget or Budget()
    budget.raise_if_cancelled()
    if scorer is not None:
        return of_measured(scorer.measure(images))
    mean, deviation = autoencoder.encode(images)
    budget.raise_if_cancelled()
    rebuilt = autoencoder.decode(mean)
    return Reconstruction(mean, rebuilt, losses(images, rebuilt), code_statistics(mean, deviation))


def of_measured(measured: Measured) -> Reconstruction:
    """The part of it that is about the reconstruction."""
    mse, mae, ssim, between, within, excess, kl, cosine_distance, mean_norms, deviation_norms = measured.statistics.T
    return Reconstruction(
        mean=measured.mean,
        images=measured.reconstructions,
        losses=ReconstructionLosses(
            mse=mse,
            mae=mae,
            cosine_distance=cosine_distance,
            ssim=ssim,
            cross_entropy=between,
            color_cross_entropy=within,
            cross_entropy_excess=excess,
        ),
        codes=CodeStatistics(kl=kl, mean_norms=mean_norms, deviation_norms=deviation_norms),
    )


def statistics(found: Reconstruction) -> DoubleArray:
    """`found` as `Measured.statistics`, (B, S)."""
    columns = {
        **{name: getattr(found.losses, name) for name in STATISTICS if hasattr(found.losses, name)},
        "kl": found.codes.kl,
        "mean_norm": found.codes.mean_norms,
        "deviation_norm": found.codes.deviation_norms,
    }
    return np.stack([columns[name] for name in STATISTICS], axis=1)
