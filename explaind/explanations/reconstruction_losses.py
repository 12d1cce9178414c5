"""How far a reconstruction is from its image: the losses of [AN], as means over pixels (DESIGN §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from explaind.errors import ShapeMismatch
from explaind.explanations.structural_similarity import CHUNK, ssim
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
    starts = range(0, max(len(images), 1), CHUNK)
    parts = [_chunk(images[i : i + CHUNK], reconstructions[i : i + CHUNK]) for i in starts]
    return parts[0] if len(parts) == 1 else _together(parts)


def _together(parts: Sequence[ReconstructionLosses]) -> ReconstructionLosses:
    names = [field.name for field in fields(ReconstructionLosses)]
    return ReconstructionLosses(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _chunk(images: NDArray[np.floating], reconstructions: NDArray[np.floating]) -> ReconstructionLosses:
    x, y = images.astype(np.float64), reconstructions.astype(np.float64)
    flat_x, flat_y = x.reshape(len(x), -1), y.reshape(len(y), -1)
    difference, pixels = flat_x - flat_y, flat_x.shape[1]
    of_y = _Logarithms.of(y)
    color = of_y.cross_entropy(x)
    return ReconstructionLosses(
        mse=_dots(difference, difference) / pixels,
        mae=np.abs(difference).sum(axis=1) / pixels,
        cosine_distance=_cosine_distance(flat_x, flat_y),
        ssim=ssim(x, y),
        cross_entropy=color if x.shape[1] == 1 else of_y.over_channels().cross_entropy(x.mean(axis=1)),
        color_cross_entropy=color,
        cross_entropy_excess=color - _Logarithms.of(x).cross_entropy(x),
    )


@dataclass(frozen=True, slots=True)
class _Logarithms:
    """log y and log(1 − y), y kept off 0 and 1, (B, C, H, W) or (B, H, W)."""

    log: DoubleArray
    log_not: DoubleArray

    @classmethod
    def of(cls, y: DoubleArray) -> _Logarithms:
        inside = np.minimum(np.maximum(y, _CLAMP), 1 - _CLAMP)
        return cls(np.log(inside), np.log1p(-inside))

    def over_channels(self) -> _Logarithms:
        """BCE is bilinear in (x, log y): the mean over pairs (a, b) is the product of the means over channels."""
        return _Logarithms(self.log.mean(axis=1), self.log_not.mean(axis=1))

    def cross_entropy(self, x: DoubleArray) -> DoubleArray:
        """Mean of −(x·log y + (1 − x)·log(1 − y)) over pixels (B,)."""
        flat_x, log, log_not = (array.reshape(len(array), -1) for array in (x, self.log, self.log_not))
        return np.asarray(-(_dots(flat_x, log - log_not) + log_not.sum(axis=1)) / flat_x.shape[1])


def _dots(first: DoubleArray, second: DoubleArray) -> DoubleArray:
    """(B, P) each → (B,). For one small image a third of einsum's time."""
    return np.asarray((first * second).sum(axis=1))


def _cosine_distance(x: DoubleArray, y: DoubleArray) -> DoubleArray:
    """(B, P) each → (B,) in [0, 1]. Two black images are alike (0), a black and another are not (1)."""
    norms = np.sqrt(_dots(x, x) * _dots(y, y))
    alike = np.all(x == y, axis=1)
    cosine = _dots(x, y) / np.where(norms > 0, norms, 1.0)
    return np.where(alike, 0.0, 1.0 - np.minimum(cosine, 1.0))
