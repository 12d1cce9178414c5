"""Kinds of images that are not of the training distribution, easy ones and hard ones (DESIGN §3.2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from explaind.explanations.types import FloatArray
from explaind.training.datasets import as_floats, load_images, load_letters, split_families
from explaind.training.recipe import Recipe

BLUR_SIGMA = 1.5


def outlier_kinds(recipe: Recipe, data: Path, inside: FloatArray) -> Mapping[str, FloatArray]:
    """inside: in-distribution images (B, 1, 28, 28) → as many outliers of each kind, seeded.

    Letters are of font families that the supervised detector was not fitted on.
    """
    rng = np.random.default_rng(recipe.seed)
    count = len(inside)
    _, fashion = load_images("fashion_mnist", data)
    _, letters = split_families(load_letters(data), recipe.seed)
    grey = rng.random((count, 1, 1, 1), dtype=np.float32)
    return {
        "fashion_mnist": as_floats(fashion.images[:count]),
        "letters": as_floats(letters.images[rng.permutation(len(letters))[:count]]),
        "noise": rng.random(inside.shape, dtype=np.float32),
        "flat": np.broadcast_to(grey, inside.shape).copy(),
        "blurred": _blurred(inside),
        "rotated_90": np.ascontiguousarray(np.rot90(inside, axes=(2, 3))),
        "half_contrast": inside * np.float32(0.5),
    }


def _blurred(images: FloatArray) -> FloatArray:
    from scipy.ndimage import gaussian_filter

    blurred: FloatArray = gaussian_filter(images, sigma=(0, 0, BLUR_SIGMA, BLUR_SIGMA))
    return np.clip(blurred, 0, 1)
