"""Letters A–J in thousands of fonts, made as notMNIST was; always divided by font family."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explaind.training.datasets.archives import damaged, image_set, read_arrays
from explaind.training.datasets.image_set import ByteArray, ImageSet, LabelArray, part

TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Letters:
    """family (N,): the font family of each image; split by it, never by image."""

    images: ByteArray
    labels: LabelArray
    family: LabelArray


def load_letters(folder: Path) -> Letters:
    """All of `folder/letters.npz`. They have no other source."""
    path = folder / "letters.npz"
    arrays = read_arrays(path, ("x", "y", "family"))
    images = image_set(path, arrays["x"], arrays["y"], (28, 28))
    _, family = np.unique(arrays["family"], return_inverse=True)
    if family.shape != images.labels.shape:
        raise damaged(path, "its family has another length than its images")
    return Letters(images.images, images.labels, family.astype(np.int64))


def split_families(letters: Letters, seed: int) -> tuple[ImageSet, ImageSet]:
    """Letters as outliers: about half the font families to fit a detector on, the other half to score."""
    families = np.random.default_rng(seed).permutation(int(letters.family.max()) + 1)
    fitting = np.isin(letters.family, families[: len(families) // 2])
    everything = _grouped(letters)
    return everything.take(np.flatnonzero(fitting)), everything.take(np.flatnonzero(~fitting))


def letters_parts(folder: Path, seed: int) -> tuple[ImageSet, ImageSet]:
    """Letters as a bundle's own images: training and test set, no font family in both."""
    return part(_grouped(load_letters(folder)), TEST_SHARE, seed, "letters")


def _grouped(letters: Letters) -> ImageSet:
    return ImageSet(letters.images, letters.labels, letters.family)
