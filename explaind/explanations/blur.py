"""The Gaussian blur G of a path mask (DESIGN §3.4): σ = 1.5·H/28 px, radius ⌈2.5σ⌉, zero padding."""

from __future__ import annotations

import functools
import math

import numpy as np

from explaind.explanations.types import DoubleArray


class Blur:
    """G as two banded matrices, for images of one size. Zero padding: the sum over a border's window is below 1.

    mean_slope (H, W), read-only: Gᵀ1/(HW), the gradient of mean(Gm).
    """

    def __init__(self, height: int, width: int, *, deviation: float | None = None) -> None:
        """deviation: σ in px; None: 1.5·height/28."""
        sigma = 1.5 * height / 28 if deviation is None else deviation
        self._rows, self._columns = _band(height, sigma), _band(width, sigma)
        self.mean_slope = self.adjoint(np.ones((height, width))) / (height * width)
        self.mean_slope.flags.writeable = False

    def apply(self, mask: DoubleArray) -> DoubleArray:
        """G m: (H, W) → (H, W); in [0, 1] where m is."""
        return np.asarray(self._rows @ mask @ self._columns.T)

    def adjoint(self, image: DoubleArray) -> DoubleArray:
        """Gᵀ q: (H, W) → (H, W)."""
        return np.asarray(self._rows.T @ image @ self._columns)


@functools.lru_cache(maxsize=64)
def blur_of(height: int, width: int) -> Blur:
    """G with its usual deviation: every path mask of one size has the same."""
    return Blur(height, width)


def _band(size: int, sigma: float) -> DoubleArray:
    radius = math.ceil(2.5 * sigma)
    offsets = np.arange(size)[:, None] - np.arange(size)
    total = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2).sum()
    return np.where(np.abs(offsets) <= radius, np.exp(-0.5 * (offsets / sigma) ** 2) / total, 0.0)
