"""SSIM against scikit-image, and its refusals."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.metrics import structural_similarity

from explaind.errors import ShapeMismatch
from explaind.explanations.structural_similarity import ssim


def _scikit(x: np.ndarray, y: np.ndarray) -> float:
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "data_range": 1.0}
    return float(structural_similarity(x, y, channel_axis=0, **settings))


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 40), (1, 11, 13)])
def test_ssim_equals_scikit_image(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(1)
    x = random.random((7, *shape))
    y = np.clip(x + random.normal(0, 0.2, x.shape), 0, 1)
    y[1], y[2], x[3] = 0.0, x[2], 0.5
    expected = [_scikit(a, b) for a, b in zip(x, y, strict=True)]
    assert ssim(x, y) == pytest.approx(np.array(expected), abs=1e-9)


def test_ssim_of_many_images_equals_ssim_of_each() -> None:
    x = np.random.default_rng(2).random((1030, 1, 12, 12))
    y = x[::-1].copy()
    assert ssim(x, y)[[0, 511, 512, 1029]] == pytest.approx(
        [ssim(x[i : i + 1], y[i : i + 1])[0] for i in (0, 511, 512, 1029)]
    )


def test_an_image_under_eleven_pixels_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="at least 11×11"):
        ssim(np.zeros((1, 1, 10, 28)), np.zeros((1, 1, 10, 28)))


def test_no_images_give_no_values() -> None:
    assert ssim(np.zeros((0, 1, 28, 28)), np.zeros((0, 1, 28, 28))).shape == (0,)
