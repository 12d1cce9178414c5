"""The blur against SciPy's, and its adjoint."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from explaind.explanations.blur import Blur


@pytest.mark.parametrize(("height", "width"), [(28, 28), (32, 32), (12, 20), (4, 3)])
def test_blur_is_a_truncated_gaussian_with_zero_padding(height: int, width: int) -> None:
    sigma = 1.5 * height / 28
    radius = math.ceil(2.5 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    mask = np.random.default_rng(31).random((height, width))
    expected = correlate1d(correlate1d(mask, kernel, axis=0, mode="constant"), kernel, axis=1, mode="constant")
    assert Blur(height, width).apply(mask) == pytest.approx(expected)


def test_adjoint_is_the_transpose() -> None:
    random = np.random.default_rng(32)
    blur, mask, image = Blur(10, 14), random.random((10, 14)), random.normal(size=(10, 14))
    assert np.sum(blur.apply(mask) * image) == pytest.approx(np.sum(mask * blur.adjoint(image)))


def test_a_full_mask_stays_one_inside_and_falls_at_the_border() -> None:
    applied = Blur(28, 28).apply(np.ones((28, 28)))
    assert applied[4:-4, 4:-4] == pytest.approx(np.ones((20, 20)))
    assert applied.max() <= 1 + 1e-12
    assert applied[0, 0] < 0.5
