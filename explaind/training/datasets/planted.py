"""Images whose causes are known by construction: a grey object and an independent mark, drawn from five factors.

32 × 32, black background. Every factor is continuous and drawn independently of the others: x and y of the object's
centre, its scale, its shape (from a thin cross to a square) and the brightness of a mark in the upper left corner.
Three questions, each about one factor alone, give three data sets of the same images: `planted_x` (left or right?),
`planted_shape` (cross or square?) and `planted_mark` (faint or bright?). The factor that is asked about keeps off the
middle of its range, so that every answer is sure. What a classifier of one of them answers can have no other cause than
that factor's pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explaind.errors import DataSetInvalid
from explaind.training.data_sets import PLANTED_FACTORS
from explaind.training.datasets.image_set import ByteArray, ImageSet, LabelArray

SIDE = 32
SAMPLE = 20_000
TEST_SHARE = 0.25
FACTORS = PLANTED_FACTORS
QUESTIONS: Mapping[str, str] = {"planted_x": "x", "planted_shape": "shape", "planted_mark": "mark"}
"""The factor that each data set asks about."""

# The two ranges of a factor that may be asked about: the answer 0 and the answer 1.
COLUMNS = ((9.0, 14.5), (17.5, 23.0))  # of the object's centre, in pixels
ARMS = ((0.25, 0.55), (0.7, 1.0))  # width of a cross's arms, of its side; with 1 it is a square
BRIGHTNESS = ((0.0, 0.3), (0.7, 1.0))
ROWS = (16.5, 23.5)
SCALES = (5.0, 7.0)  # half of the object's side, in pixels
MARK = slice(1, 9)  # rows and columns of the mark
_LINES = 8  # samples in a pixel's height; in its width the coverage is exact

Ranges = tuple[tuple[float, float], tuple[float, float]]
Doubles = NDArray[np.float64]
Pixels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """The factors of N images. x, y: the object's centre, scale: half its side, in pixels. arm: width of its arms, of
    its side. mark: the mark's brightness in [0, 1]. All (N,)."""

    x: Doubles
    y: Doubles
    scale: Doubles
    arm: Doubles
    mark: Doubles

    def __len__(self) -> int:
        return len(self.x)

    def factors(self) -> Doubles:
        """(N, 5), in the order of FACTORS."""
        return np.stack([self.x, self.y, self.scale, self.arm, self.mark], axis=1)

    def labels(self, question: str) -> LabelArray:
        """The answer for each image, 0 or 1: is the object on the right, is it a square, is the mark bright?"""
        values, ranges = {"x": (self.x, COLUMNS), "shape": (self.arm, ARMS), "mark": (self.mark, BRIGHTNESS)}[question]
        return (values >= ranges[1][0]).astype(np.int64)


def draw_scenes(count: int, seed: int | tuple[int, ...]) -> Scenes:
    """`count` scenes; the same seed draws the same ones."""
    generator = np.random.default_rng(seed)
    return Scenes(
        x=_either(COLUMNS, count, generator),
        y=generator.uniform(*ROWS, count),
        scale=generator.uniform(*SCALES, count),
        arm=_either(ARMS, count, generator),
        mark=_either(BRIGHTNESS, count, generator),
    )


def _either(ranges: Ranges, count: int, generator: np.random.Generator) -> Doubles:
    low, high = np.array(ranges)[generator.integers(0, 2, count)].T
    return np.asarray(generator.uniform(low, high))


def render(scenes: Scenes) -> ByteArray:
    """uint8 (N, 1, 32, 32): each pixel as bright as the share of it that is covered."""
    images = coverage(scenes)
    images[:, MARK, MARK] += scenes.mark[:, None, None]
    return np.rint(images * 255).astype(np.uint8)[:, None]


def coverage(scenes: Scenes) -> Doubles:
    """Share of each pixel that the object covers, (N, 32, 32) in [0, 1]."""
    lines = (np.arange(SIDE * _LINES) + 0.5) / _LINES
    height = (lines - scenes.y[:, None]) / scenes.scale[:, None]  # −1 at the object's upper edge, 1 at its lower
    arm = scenes.arm[:, None]
    width = np.where(np.abs(height) > 1, 0.0, np.where(np.abs(height) > arm, arm, 1.0))
    half = width * scenes.scale[:, None]
    left, right = (scenes.x[:, None] + side for side in (-half, half))
    columns = np.arange(SIDE)
    covered = np.minimum(right[..., None], columns + 1) - np.maximum(left[..., None], columns)
    return np.asarray(covered.clip(0, 1).reshape(len(scenes), SIDE, _LINES, SIDE).mean(axis=2))


def object_pixels(scenes: Scenes) -> Pixels:
    """Pixels of which the object covers half or more, (N, 32, 32)."""
    return coverage(scenes) >= 0.5


def counterparts(scenes: Scenes, question: str) -> Scenes:
    """The same scenes changed in nothing but the factor asked about, which takes the nearest value of the other
    answer: the object just over on the other side, its arms just as wide, the mark just as bright, as that takes."""
    other = scenes.labels(question) == 0
    if question == "x":
        return replace(scenes, x=_nearest(COLUMNS, other))
    if question == "shape":
        return replace(scenes, arm=_nearest(ARMS, other))
    return replace(scenes, mark=_nearest(BRIGHTNESS, other))


def _nearest(ranges: Ranges, upper: Pixels) -> Doubles:
    return np.where(upper, ranges[1][0], ranges[0][1])


def known_pixels(scenes: Scenes, question: str) -> Pixels:
    """Where the cause of the answer lies, (N, 32, 32): the object's pixels in the image and in its counterpart, or
    the mark's."""
    if question == "mark":
        pixels = np.zeros((len(scenes), SIDE, SIDE), dtype=np.bool_)
        pixels[:, MARK, MARK] = True
        return pixels
    return object_pixels(scenes) | object_pixels(counterparts(scenes, question))


def changed_pixels(scenes: Scenes, question: str) -> Pixels:
    """The part of `known_pixels` that differs between the image and its counterpart, (N, 32, 32)."""
    if question == "mark":
        return known_pixels(scenes, question)
    return object_pixels(scenes) ^ object_pixels(counterparts(scenes, question))


def planted_parts(name: str, count: int | None, seed: int) -> tuple[ImageSet, ImageSet]:
    """Training and test set of `count` images in all (None: 20,000). name: one of QUESTIONS.

    Raises DataSetInvalid where `count` is too small for a test set.
    """
    total = SAMPLE if count is None else count
    test = round(TEST_SHARE * total)
    if not 0 < test < total:
        raise DataSetInvalid(f"{name} of {total} images has no test set; raise sample in the recipe.")
    parts = (draw_scenes(number, (seed, index)) for index, number in enumerate((total - test, test)))
    training, testing = (_labelled(scenes, QUESTIONS[name]) for scenes in parts)
    return training, testing


def _labelled(scenes: Scenes, question: str) -> ImageSet:
    return ImageSet(render(scenes), scenes.labels(question), factors=scenes.factors())
