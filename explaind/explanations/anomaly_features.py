"""What the two detectors look at: reconstruction losses and code statistics (DESIGN §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import DoubleArray, ReconstructionLosses

MAHALANOBIS_FEATURES = ("mse", "one_minus_ssim", "cross_entropy_excess", "kl", "mean_norm", "deviation_norm")
_LOSS_FEATURES = ("mse", "mae", "cosine_distance", "one_minus_ssim", "cross_entropy_excess")


@dataclass(frozen=True, slots=True)
class CodeStatistics:
    """Of codes μ, σ, each (B,). kl: KL(N(μ, σ²) ‖ N(0, 1)) in nat, summed over latents. mean_norms, deviation_norms:
    Euclidean."""

    kl: DoubleArray
    mean_norms: DoubleArray
    deviation_norms: DoubleArray


def code_statistics(mean: NDArray[np.floating], deviation: NDArray[np.floating]) -> CodeStatistics:
    """mean, deviation: (B, D) → in float64."""
    codes = np.concatenate([mean, deviation], dtype=np.float64).reshape(2, *mean.shape)
    squares = codes * codes
    logs = np.log(np.maximum(codes[1], 1e-12))
    mean_norms, deviation_norms = np.sqrt(squares.sum(axis=2))
    kl = 0.5 * (squares[0] + squares[1] - 1 - 2 * logs).sum(axis=1)
    return CodeStatistics(kl=kl, mean_norms=mean_norms, deviation_norms=deviation_norms)


def features(
    images: NDArray[np.floating],
    reconstructions: NDArray[np.floating],
    mean: NDArray[np.floating],
    deviation: NDArray[np.floating],
) -> DoubleArray:
    """images, reconstructions (B, C, H, W); mean, deviation (B, D) → (B, 6), named by MAHALANOBIS_FEATURES."""
    return mahalanobis_features(losses(images, reconstructions), code_statistics(mean, deviation))


def mahalanobis_features(parts: ReconstructionLosses, codes: CodeStatistics) -> DoubleArray:
    """As `features`, where losses and statistics of the codes are at hand."""
    columns = (
        parts.mse,
        1 - parts.ssim,
        parts.cross_entropy_excess,
        codes.kl,
        codes.mean_norms,
        codes.deviation_norms,
    )
    return _side_by_side(columns)


def supervised_features(parts: ReconstructionLosses, mean: NDArray[np.floating], channels: int) -> DoubleArray:
    """[losses, μ(x)] as [AN]: (B, 5 + D) for grey images, (B, 6 + D) for colour; see `supervised_names`.

    Cross entropies enter as their excess over H(x), because alone they score complexity. Of grey images' two
    equal ones one is used.
    """
    columns = [parts.mse, parts.mae, parts.cosine_distance, 1 - parts.ssim, parts.cross_entropy_excess]
    if channels > 1:
        floor = parts.color_cross_entropy - parts.cross_entropy_excess
        columns.append(parts.cross_entropy - floor)
    return np.concatenate([_side_by_side(columns), mean.astype(np.float64)], axis=1)


def supervised_names(channels: int, latents: int) -> tuple[str, ...]:
    """Names of `supervised_features`' columns, in order."""
    pairs = ("channel_pair_cross_entropy_excess",) if channels > 1 else ()
    return (*_LOSS_FEATURES, *pairs, *(f"z{index}" for index in range(latents)))


def _side_by_side(columns: Sequence[DoubleArray]) -> DoubleArray:
    """F columns (B,) → (B, F). For one image half of np.stack's time."""
    return np.ascontiguousarray(np.array(columns).T)
