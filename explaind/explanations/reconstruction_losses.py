"""How far a reconstruction is from its image: the losses of [AN], as means over pixels (DESIGN §3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from explaind.errors import ShapeMismatch
from explaind.explanations.structural_similarity import CHUNK, ssim_of_maps
from explaind.explanations.types import DoubleArray, ReconstructionLosses

CLAMP = 1e-7


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
    # Everything is (n, B, C, H, W), n things at once: at one small image the calls cost more than the arithmetic.
    three = np.empty((3, *images.shape))
    three[0], three[1] = images, reconstructions
    np.subtract(three[0], three[1], out=three[2])
    pair, x, difference = three[:2], three[:1], three[2:]
    squares, product, logarithms = three * three, x * three[1:2], _Logarithms.of(pair)
    sums = _sums(squares, np.abs(difference), product, x * logarithms.log_odds, logarithms.log_not)
    xx, yy, _, absolute, product_sum = sums[:5]
    pixels = images[0].size
    mse, mae = sums[2:4] / pixels
    floor, color = -(sums[5:7] + sums[7:]) / pixels
    return ReconstructionLosses(
        mse=mse,
        mae=mae,
        cosine_distance=_cosine_distance(product_sum, xx, yy, absolute == 0),
        ssim=ssim_of_maps(np.concatenate([pair, squares[:1] + squares[1:2], product])),
        cross_entropy=color if images.shape[1] == 1 else logarithms.between_channels(x[0].mean(axis=1)),
        color_cross_entropy=color,
        cross_entropy_excess=color - floor,
    )


@dataclass(frozen=True, slots=True)
class _Logarithms:
    """Of p = x and y, kept off 0 and 1, (2, B, C, H, W): log p − log(1 − p), and log(1 − p)."""

    log_odds: DoubleArray
    log_not: DoubleArray

    @classmethod
    def of(cls, pair: DoubleArray) -> _Logarithms:
        inside = np.minimum(np.maximum(pair, CLAMP), 1 - CLAMP)
        log_not = np.log1p(-inside)
        return cls(np.log(inside) - log_not, log_not)

    def between_channels(self, x: DoubleArray) -> DoubleArray:
        """x (B, H, W): the mean over channels → BCE(x_a, y_b) averaged over all pairs of channels (B,).

        BCE is bilinear in (x, log y): the mean over pairs (a, b) is the product of the means over channels.
        """
        log_odds, log_not = self.log_odds[1].mean(axis=1), self.log_not[1].mean(axis=1)
        first, second = _sums((x * log_odds)[None], log_not[None])
        return np.asarray(-(first + second) / x[0].size)


def _sums(*terms: DoubleArray) -> DoubleArray:
    """(n, B, ...) each → summed over each image, one below the other (all n together, B)."""
    return np.asarray(np.concatenate(terms).reshape(-1, terms[0].shape[1], terms[0][0, 0].size).sum(axis=2))


def _cosine_distance(product: DoubleArray, xx: DoubleArray, yy: DoubleArray, alike: NDArray[np.bool_]) -> DoubleArray:
    """Sums over x·y, x² and y² (B,) → (B,) in [0, 1]. Two black images are alike (0), a black and another are not
    (1)."""
    norms = np.sqrt(xx * yy)
    cosine = product / np.where(norms > 0, norms, 1.0)
    return np.where(alike, 0.0, 1.0 - np.minimum(cosine, 1.0))
