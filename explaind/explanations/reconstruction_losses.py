"""How far a reconstruction is from its image: the losses of [AN], as means over pixels (DESIGN §3.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explaind.errors import ShapeMismatch
from explaind.explanations.structural_similarity import ssim
from explaind.explanations.types import DoubleArray, ReconstructionLosses

_CLAMP = 1e-7


def losses(images: NDArray[np.floating], reconstructions: NDArray[np.floating]) -> ReconstructionLosses:
    """images, reconstructions: (B, C, H, W) in [0, 1] → seven arrays (B,), float64.

    `cross_entropy` averages BCE(x_a, y_b) over all ordered channel pairs, `color_cross_entropy` over a = b;
    `cross_entropy_excess` is the latter less its floor H(x), so that it does not score complexity.
    Raises ShapeMismatch where the shapes differ or an image is under 11 pixels.
    """
    if images.shape != reconstructions.shape:
        raise ShapeMismatch(f"Image {images.shape} and reconstruction {reconstructions.shape} differ.", field="image")
    x, y = images.astype(np.float64), reconstructions.astype(np.float64)
    difference = (x - y).reshape(len(x), -1)
    color = _mean_over_pixels(_cross_entropy(x, y))
    return ReconstructionLosses(
        mse=np.mean(difference**2, axis=1),
        mae=np.mean(np.abs(difference), axis=1),
        cosine_distance=_cosine_distance(x.reshape(len(x), -1), y.reshape(len(y), -1)),
        ssim=ssim(x, y),
        cross_entropy=color if x.shape[1] == 1 else _over_channel_pairs(x, y),
        color_cross_entropy=color,
        cross_entropy_excess=color - _mean_over_pixels(_cross_entropy(x, x)),
    )


def _cross_entropy(x: DoubleArray, y: DoubleArray) -> DoubleArray:
    inside = np.clip(y, _CLAMP, 1 - _CLAMP)
    return np.asarray(-(x * np.log(inside) + (1 - x) * np.log1p(-inside)))


def _over_channel_pairs(x: DoubleArray, y: DoubleArray) -> DoubleArray:
    """BCE is bilinear in (x, log y): the mean over pairs (a, b) is the product of the means over channels."""
    inside = np.clip(y, _CLAMP, 1 - _CLAMP)
    mean_x, log_y, log_not_y = x.mean(axis=1), np.log(inside).mean(axis=1), np.log1p(-inside).mean(axis=1)
    return _mean_over_pixels(-(mean_x * log_y + (1 - mean_x) * log_not_y))


def _mean_over_pixels(values: DoubleArray) -> DoubleArray:
    return np.asarray(values.reshape(len(values), -1).mean(axis=1))


def _cosine_distance(x: DoubleArray, y: DoubleArray) -> DoubleArray:
    """(B, P) each → (B,) in [0, 1]. Two black images are alike (0), a black and another are not (1)."""
    norms = np.linalg.norm(x, axis=1) * np.linalg.norm(y, axis=1)
    alike = np.all(x == y, axis=1)
    cosine = np.sum(x * y, axis=1) / np.where(norms > 0, norms, 1.0)
    return np.where(alike, 0.0, 1.0 - np.minimum(cosine, 1.0))
