"""Images whose causes are known by construction: a grey object and an independent mark, drawn from five factors.

32 × 32, black background. Every factor is drawn independently of the others: x (the object's column, in a left or a
right band), y, scale, shape (square or cross) and mark (a bright square in the upper left corner, or nothing). Three
questions, each about one factor alone, give three data sets of the same images: `planted_x`, `planted_shape` and
`planted_mark`. What a classifier of one of them answers can have no other cause than that factor's pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from explaind.errors import DataSetInvalid
from explaind.training.datasets.image_set import ByteArray, ImageSet, LabelArray

SIDE = 32
SAMPLE = 20_000
TEST_SHARE = 0.25
FACTORS = ("x", "y", "scale", "shape", "mark")
QUESTIONS: Mapping[str, str] = {"planted_x": "x", "planted_shape": "shape", "planted_mark": "mark"}
"""The factor that each data set asks about."""

BANDS = ((8.0, 11.0), (21.0, 24.0))  # columns of the object's centre, in pixels
ROWS = (17.0, 23.5)
SCALES = (5.0, 7.0)  # half of the object's side, in pixels
ARM = 0.4  # a cross's arms are so wide, of its side
MARK = slice(1, 9)  # rows and columns of the mark
MARK_BRIGHTNESS = (0.6, 1.0)
_LINES = 8  # samples in a pixel's height; in its width the coverage is exact

Doubles = NDArray[np.float64]
Pixels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Scenes:
    """The factors of N images. x, y: the object's centre, scale: half its side, in pixels. cross: is it a cross, or a
    square? mark: the mark's brightness, 0 where there is none. All (N,)."""

    x: Doubles
    y: Doubles
    scale: Doubles
    cross: Pixels
    mark: Doubles

    def __len__(self) -> int:
        return len(self.x)

    def factors(self) -> Doubles:
        """(N, 5), in the order of FACTORS."""
        return np.stack([self.x, self.y, self.scale, self.cross.astype(float), self.mark], axis=1)

    def labels(self, question: str) -> LabelArray:
        """The class of each image, 0 or 1: is the object on the right, is it a cross, is there a mark?"""
        answers = {"x": self.x > SIDE / 2, "shape": self.cross, "mark": self.mark > 0}
        return answers[question].astype(np.int64)


def draw_scenes(count: int, seed: int | tuple[int, ...]) -> Scenes:
    """`count` scenes; the same seed draws the same ones."""
    generator = np.random.default_rng(seed)
    low, high = np.array(BANDS)[generator.integers(0, 2, count)].T
    return Scenes(
        x=generator.uniform(low, high),
        y=generator.uniform(*ROWS, count),
        scale=generator.uniform(*SCALES, count),
        cross=generator.integers(0, 2, count) > 0,
        mark=generator.integers(0, 2, count) * generator.uniform(*MARK_BRIGHTNESS, count),
    )


def render(scenes: Scenes) -> ByteArray:
    """uint8 (N, 1, 32, 32): each pixel as bright as the share of it that is covered."""
    images = coverage(scenes)
    images[:, MARK, MARK] += scenes.mark[:, None, None]
    return np.rint(images * 255).astype(np.uint8)[:, None]


def coverage(scenes: Scenes) -> Doubles:
    """Share of each pixel that the object covers, (N, 32, 32) in [0, 1]."""
    lines = (np.arange(SIDE * _LINES) + 0.5) / _LINES
    height = (lines - scenes.y[:, None]) / scenes.scale[:, None]  # −1 at the object's upper edge, 1 at its lower
    width = np.where(np.abs(height) > 1, 0.0, np.where(scenes.cross[:, None] & (np.abs(height) > ARM), ARM, 1.0))
    half = width * scenes.scale[:, None]
    left, right = (scenes.x[:, None] + side for side in (-half, half))
    columns = np.arange(SIDE)
    covered = np.minimum(right[..., None], columns + 1) - np.maximum(left[..., None], columns)
    return np.asarray(covered.clip(0, 1).reshape(len(scenes), SIDE, _LINES, SIDE).mean(axis=2))


def object_pixels(scenes: Scenes) -> Pixels:
    """Pixels of which the object covers half or more, (N, 32, 32)."""
    return coverage(scenes) >= 0.5


def counterparts(scenes: Scenes, question: str) -> Scenes:
    """The same scenes with the other answer to the question and nothing else changed: the object as far into the
    other band, as the other shape, or the mark there (at its mean brightness) instead of not, and not instead of
    there."""
    if question == "x":
        apart = BANDS[1][0] - BANDS[0][0]
        return replace(scenes, x=scenes.x + np.where(scenes.labels("x") == 0, apart, -apart))
    if question == "shape":
        return replace(scenes, cross=~scenes.cross)
    return replace(scenes, mark=np.where(scenes.mark > 0, 0.0, np.mean(MARK_BRIGHTNESS)))


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
    return ImageSet(render(scenes), scenes.labels(question))
