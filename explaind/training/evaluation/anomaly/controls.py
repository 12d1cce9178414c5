"""Trivial scores that need no model: what an anomaly score must be worth more than (DESIGN §3.2)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np

from explaind.explanations.types import DoubleArray, FloatArray

CONTROLS = ("compressed_size", "mean_intensity")


def controls(images: FloatArray) -> Mapping[str, DoubleArray]:
    """images (B, C, H, W) in [0, 1] → bytes after deflate, and mean of all pixels: (B,) each."""
    pixels = np.rint(images * 255).astype(np.uint8)
    sizes = [len(zlib.compress(image.tobytes(), 6)) for image in pixels]
    return {
        "compressed_size": np.array(sizes, dtype=np.float64),
        "mean_intensity": images.mean(axis=(1, 2, 3), dtype=np.float64),
    }
