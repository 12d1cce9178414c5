"""CBCL's faces and non-faces, 19 × 19 grey, in the middle of 32 × 32 black.

For research, not to be passed on. The faces have no classes of their own: ours says from which side they are lit,
by the pixels, so that the factor that drives it is known.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from explaind.training.datasets.archives import damaged, read_arrays, require_bytes
from explaind.training.datasets.image_set import ByteArray, ImageSet, LabelArray, part

SIDE = 32
TEST_SHARE = 0.3
_KEYS = {"faces": "cbcl_face", "nonfaces": "cbcl_nonface"}


def faces_parts(name: str, folder: Path, seed: int) -> tuple[ImageSet, ImageSet]:
    """Training and test set of `faces` or `nonfaces`, divided at random: the file does not say who is who, so one
    person may be in both. Labels: 1 where the left half is the brighter one, else 0."""
    path = folder / "faces.npz"
    images = read_arrays(path, (_KEYS[name],))[_KEYS[name]]
    require_bytes(path, images, (19, 19))
    if not len(images):
        raise damaged(path, f"it has no {name}")
    grey = images.astype(np.uint8)
    return part(ImageSet(_padded(grey), _lit_from_the_left(grey)), TEST_SHARE, seed, name)


def _padded(images: ByteArray) -> ByteArray:
    before = (SIDE - images.shape[1]) // 2
    after = SIDE - images.shape[1] - before
    return np.pad(images, ((0, 0), (before, after), (before, after)))[:, None]


def _lit_from_the_left(images: ByteArray) -> LabelArray:
    """The middle column counts for neither side."""
    half = images.shape[2] // 2
    left, right = images[:, :, :half], images[:, :, -half:]
    return np.asarray(left.mean(axis=(1, 2)) > right.mean(axis=(1, 2)), dtype=np.int64)
