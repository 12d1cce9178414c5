"""Every data set as a small archive in the real one's format, of no real images, for loaders and quick trainings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[np.generic]]


def small_archives(folder: Path) -> Path:
    """Writes them all and returns the folder."""
    for name, arrays in _ARCHIVES.items():
        np.savez_compressed(folder / name, **arrays)  # type: ignore[arg-type]
    return folder


def _random(count: int, *shape: int) -> NDArray[np.uint8]:
    """Noise about a brightness of its own for each image, so that there is something to learn."""
    generator = np.random.default_rng(7)
    level = generator.integers(20, 200, (count, *(1 for _ in shape)))
    return (level + generator.integers(0, 50, (count, *shape))).astype(np.uint8)


def _divided(count: int, *shape: int) -> Arrays:
    images, labels = _random(count, *shape), np.arange(count) % 10
    held_out = count // 4
    return {
        "x_train": images[held_out:], "y_train": labels[held_out:],
        "x_test": images[:held_out], "y_test": labels[:held_out],
    }  # fmt: skip


def _sprites() -> Arrays:
    """3 shapes × 2 scales × 2 orientations × 6 columns × 6 rows in the order of the real file, small squares."""
    factors = np.stack(np.meshgrid(*map(np.arange, (1, 3, 2, 2, 6, 6)), indexing="ij"), axis=-1).reshape(-1, 6)
    images = np.zeros((len(factors), 64, 64), np.uint8)
    for image, factor in zip(images, factors, strict=True):
        row, column, side = 8 * factor[4] + 4, 8 * factor[5] + 4, 6 + 4 * factor[2]
        image[row : row + side, column : column + side] = 1
    return {
        "imgs": images,
        "latents_classes": factors.astype(np.int64),
        "latents_values": factors.astype(np.float64),
    }


_ARCHIVES: Mapping[str, Arrays] = {
    "mnist.npz": _divided(240, 28, 28),
    "fashion_mnist.npz": _divided(240, 28, 28),
    "letters.npz": {"x": _random(240, 28, 28), "y": np.arange(240) % 10, "family": np.arange(240) // 4},
    "cifar10_24k.npz": _divided(240, 32, 32, 3),
    "dsprites.npz": _sprites(),
    "faces.npz": {"cbcl_face": _random(200, 19, 19), "cbcl_nonface": _random(120, 19, 19)},
    "pedestrians.npz": {"x": _random(160, 96, 48, 3), "frame": np.arange(160) * 5},
}
