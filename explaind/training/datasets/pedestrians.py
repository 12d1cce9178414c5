"""People cut out of a surveillance video, 96 × 48 RGB, resized to the 128 × 64 of [LR].

641 crops of a few people: too few for strong claims. Neighbouring frames are near-duplicates, so that the set is
divided by blocks of frames.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explaind.training.datasets.archives import channels_first, damaged, read_arrays, require_bytes
from explaind.training.datasets.image_set import ByteArray, ImageSet, LabelArray, part

HEIGHT, WIDTH = 128, 64
BLOCK = 40
"""Frames in a block, of 793. Smaller: more crops with a near-duplicate in another block; larger: too few blocks."""
TEST_SHARE = 0.3
_TORSO = (slice(30, 50), slice(19, 29))  # rows and columns of 96 × 48; narrow, as some people are small


def pedestrians_parts(folder: Path, seed: int) -> tuple[ImageSet, ImageSet]:
    """Training and test set, no block of frames in both. Labels: 1 where the torso's mean brightness is over the
    median of all crops, else 0, so that the factor that drives them is known. Torso: rows 30–49, columns 19–28 of
    96 × 48, where all crops have it; of the smallest people it takes in some ground."""
    path = folder / "pedestrians.npz"
    arrays = read_arrays(path, ("x", "frame"))
    crops, frame = arrays["x"], arrays["frame"]
    require_bytes(path, crops, (96, 48, 3))
    if frame.shape != crops.shape[:1] or not len(crops) or not np.issubdtype(frame.dtype, np.integer):
        raise damaged(path, f"it has {len(crops)} crops and {frame.size} frame numbers")
    colors = crops.astype(np.uint8)
    everything = ImageSet(_resized(colors), _bright_torsos(colors), frame.astype(np.int64) // BLOCK)
    return part(everything, TEST_SHARE, seed, "pedestrians")


def torso() -> NDArray[np.bool_]:
    """(128, 64): the pixels of a resized image that decide its label, to the nearest row and column."""
    region = np.zeros((HEIGHT, WIDTH), dtype=np.bool_)
    rows, columns = (slice(round(s.start * 4 / 3), round(s.stop * 4 / 3)) for s in _TORSO)
    region[rows, columns] = True
    return region


def _resized(crops: ByteArray) -> ByteArray:
    resized = [Image.fromarray(crop).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC) for crop in crops]
    return channels_first(np.stack([np.asarray(image) for image in resized]))


def _bright_torsos(crops: ByteArray) -> LabelArray:
    brightness = crops[:, *_TORSO].mean(axis=(1, 2, 3))
    return np.asarray(brightness > np.median(brightness), dtype=np.int64)
