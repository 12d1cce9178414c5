"""Images with their labels, and their division by whole groups."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.errors import DataSetInvalid

ByteArray = NDArray[np.uint8]
LabelArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """images: uint8 (N, C, H, W); labels: (N,). groups (N,): images of one group resemble each other (a font family,
    a stretch of video) and are never divided; None where each image stands for itself. factors (N, F): the values of
    the data set's `factors`; None where it has none."""

    images: ByteArray
    labels: LabelArray
    groups: LabelArray | None = None
    factors: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: NDArray[np.int64]) -> ImageSet:
        groups = None if self.groups is None else self.groups[indices]
        factors = None if self.factors is None else self.factors[indices]
        return ImageSet(self.images[indices], self.labels[indices], groups, factors)


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """train and validation: of the training set. calibration and evaluation: of the test set."""

    train: ImageSet
    validation: ImageSet
    calibration: ImageSet
    evaluation: ImageSet


def as_floats(images: ByteArray) -> NDArray[np.float32]:
    """uint8 → float32 in [0, 1], same shape."""
    return images.astype(np.float32) / np.float32(255)


def divide(images: ImageSet, count: int, seed: int, name: str) -> tuple[ImageSet, ImageSet]:
    """(the rest, `count` random images); random whole groups where there are groups, less what is over `count`.

    Raises DataSetInvalid where nothing would be left.
    """
    kept, rest = _random_images(images, count, seed) if images.groups is None else _random_groups(images, count, seed)
    if count > len(kept) or not len(rest):
        raise DataSetInvalid(f"{name} has {len(images)} images: {count} cannot be kept back; lower it in the recipe.")
    return images.take(rest), images.take(kept)


def part(images: ImageSet, share: float, seed: int, name: str) -> tuple[ImageSet, ImageSet]:
    """(training set, test set) of a set that has no test set of its own. share: of the images, for the latter."""
    return divide(images, max(1, round(share * len(images))), seed, name)


def _random_images(images: ImageSet, count: int, seed: int) -> tuple[LabelArray, LabelArray]:
    order = np.random.default_rng(seed).permutation(len(images))
    return np.sort(order[:count]), np.sort(order[count:])


def _random_groups(images: ImageSet, count: int, seed: int) -> tuple[LabelArray, LabelArray]:
    """Indices (kept, rest) of images that share no group; what the last group has too much is in neither."""
    generator = np.random.default_rng(seed)
    groups, members, sizes = np.unique(np.asarray(images.groups), return_inverse=True, return_counts=True)
    order = generator.permutation(len(groups))
    needed = int(np.searchsorted(np.cumsum(sizes[order]), count)) + 1
    kept = np.isin(members, order[:needed])
    chosen = generator.permutation(np.flatnonzero(kept))[:count]
    return np.sort(chosen), np.flatnonzero(~kept)
