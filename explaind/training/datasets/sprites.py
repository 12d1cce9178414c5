"""dSprites: 737,280 binary images, one for each value of five known factors. A seeded sample of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explaind.errors import DataSetInvalid
from explaind.training.datasets.archives import damaged, read_arrays, read_kind, read_rows
from explaind.training.datasets.image_set import ByteArray, ImageSet, LabelArray, part

FACTORS = ("shape", "scale", "orientation", "x", "y")
SAMPLE = 60_000
TEST_SHARE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Sprites:
    """images: uint8 (N, 1, 64, 64), 0 or 255. factors (N, 5): the index of each of FACTORS' values, from 0 (3 shapes,
    6 scales, 40 orientations, 32 columns, 32 rows). rows (N,): where they lie in the whole set, rising."""

    images: ByteArray
    factors: LabelArray
    rows: LabelArray


def load_sprites(folder: Path, count: int, seed: int) -> Sprites:
    """`count` different images of `folder/dsprites.npz`, drawn at random.

    Unpacked the set is 3 GB: it is read in pieces and only the sample is kept (about 10 s, 4 KB an image).
    Raises DataSetInvalid where the file is missing, damaged or smaller than `count`.
    """
    path = folder / "dsprites.npz"
    shape, dtype = read_kind(path, "imgs")
    if shape[1:] != (64, 64) or dtype != np.uint8:
        raise damaged(path, f"its images are {dtype} of shape {shape}, not uint8 (N, 64, 64)")
    factors = _factors(path, read_arrays(path, ("latents_classes",))["latents_classes"], shape[0])
    rows = _drawn(shape[0], count, seed)
    images = read_rows(path, "imgs", rows)
    if images.max(initial=0) > 1:
        raise damaged(path, "its images are not binary")
    return Sprites(images[:, None] * np.uint8(255), factors[rows], rows)


def sprites_parts(folder: Path, count: int | None, seed: int) -> tuple[ImageSet, ImageSet]:
    """Training and test set of a sample (None: of 60,000); the label is the shape."""
    sprites = load_sprites(folder, count or SAMPLE, seed)
    return part(ImageSet(sprites.images, sprites.factors[:, 0]), TEST_SHARE, seed, "dsprites")


def mixed(count: int, seed: int) -> LabelArray:
    """Order of `count` evaluation images. The archive goes shape by shape, so that the first hundred of them, which is
    all that a section may look at, would be squares."""
    return np.random.default_rng((seed, count)).permutation(count)


def factors_of_test_set(folder: Path, count: int | None, seed: int) -> LabelArray:
    """(M, 5): the factors of the test set of `sprites_parts` with the same arguments, row by row; reads no images.

    Raises DataSetInvalid as `load_sprites`.
    """
    path = folder / "dsprites.npz"
    total = read_kind(path, "imgs")[0][0]
    factors = _factors(path, read_arrays(path, ("latents_classes",))["latents_classes"], total)
    rows = _drawn(total, count or SAMPLE, seed)
    places = ImageSet(np.zeros((len(rows), 0), np.uint8), np.arange(len(rows)))
    return factors[rows[part(places, TEST_SHARE, seed, "dsprites")[1].labels]]


def _drawn(total: int, count: int, seed: int) -> LabelArray:
    """Rows of the sample, rising."""
    if count > total:
        raise DataSetInvalid(f"dsprites has {total} images: {count} cannot be drawn; lower sample in the recipe.")
    return np.sort(np.random.default_rng(seed).permutation(total)[:count])


def _factors(path: Path, classes: NDArray[np.generic], count: int) -> LabelArray:
    """Without the first column, colour, which is always white."""
    if classes.shape != (count, 1 + len(FACTORS)) or not np.issubdtype(classes.dtype, np.integer):
        raise damaged(
            path, f"its latents_classes are {classes.dtype} of shape {classes.shape}, not whole numbers (N, 6)"
        )
    return classes[:, 1:].astype(np.int64)
