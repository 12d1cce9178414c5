"""What the two detectors look at: reconstruction losses and code statistics (DESIGN §3.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import DoubleArray, ReconstructionLosses

MAHALANOBIS_FEATURES = ("mse", "one_minus_ssim", "cross_entropy_excess", "kl", "mean_norm", "deviation_norm")
_LOSS_FEATURES = ("mse", "mae", "cosine_distance", "one_minus_ssim", "cross_entropy_excess")


def features(
    images: NDArray[np.floating],
    reconstructions: NDArray[np.floating],
    mean: NDArray[np.floating],
    deviation: NDArray[np.floating],
) -> DoubleArray:
    """images, reconstructions (B, C, H, W); mean, deviation (B, D) → (B, 6), named by MAHALANOBIS_FEATURES."""
    return code_features(losses(images, reconstructions), mean, deviation)


def code_features(
    parts: ReconstructionLosses, mean: NDArray[np.floating], deviation: NDArray[np.floating]
) -> DoubleArray:
    """As `features`, where the losses are at hand."""
    norms = code_norms(mean), code_norms(deviation)
    columns = (parts.mse, 1 - parts.ssim, parts.cross_entropy_excess, kl_divergence(mean, deviation), *norms)
    return np.stack(columns, axis=1)


def code_norms(codes: NDArray[np.floating]) -> DoubleArray:
    """(B, D) → Euclidean norms (B,), float64."""
    exact = codes.astype(np.float64)
    return np.asarray(np.sqrt((exact * exact).sum(axis=1)))


def supervised_features(parts: ReconstructionLosses, mean: NDArray[np.floating], channels: int) -> DoubleArray:
    """[losses, μ(x)] as [AN]: (B, 5 + D) for grey images, (B, 6 + D) for colour; see `supervised_names`.

    Cross entropies enter as their excess over H(x), because alone they score complexity. Of grey images' two
    equal ones one is used.
    """
    columns = [parts.mse, parts.mae, parts.cosine_distance, 1 - parts.ssim, parts.cross_entropy_excess]
    if channels > 1:
        floor = parts.color_cross_entropy - parts.cross_entropy_excess
        columns.append(parts.cross_entropy - floor)
    return np.concatenate([np.stack(columns, axis=1), mean.astype(np.float64)], axis=1)


def supervised_names(channels: int, latents: int) -> tuple[str, ...]:
    """Names of `supervised_features`' columns, in order."""
    pairs = ("channel_pair_cross_entropy_excess",) if channels > 1 else ()
    return (*_LOSS_FEATURES, *pairs, *(f"z{index}" for index in range(latents)))


def kl_divergence(mean: NDArray[np.floating], deviation: NDArray[np.floating]) -> DoubleArray:
    """mean, deviation (B, D) → KL(N(μ, σ²) ‖ N(0, 1)) (B,) in nat, summed over latents."""
    m, s = mean.astype(np.float64), np.maximum(deviation.astype(np.float64), 1e-12)
    return np.asarray(0.5 * np.sum(m**2 + s**2 - 1 - 2 * np.log(s), axis=1))
