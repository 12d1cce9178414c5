"""Kinds of images that are not of the training distribution, easy ones and hard ones (DESIGN §3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explaind.errors import DataSetInvalid
from explaind.explanations.types import FloatArray
from explaind.training.datasets import ImageSet, as_floats, load_images, load_letters, split_families
from explaind.training.evaluation.anomaly.fitting_in import Window, converted, kept_to, window_of
from explaind.training.evaluation.subject import Subject

BLUR_SIGMA = 1.5
LEAST = 1000
"""Images of another data set, where it has them, however few in-distribution images there are."""
_OTHERS = ("fashion_mnist", "letters", "mnist", "cifar10")
_OF_FACES = "nonfaces"
TITLES_OF_SETS = {
    "mnist": "MNIST", "fashion_mnist": "FashionMNIST", "letters": "letters", "cifar10": "CIFAR-10",
    "nonfaces": "non-faces", "dsprites": "dSprites", "pedestrians": "pedestrians",
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Kind:
    """name: key of its figures. title: in a report. images: float32 (N, C, H, W) in [0, 1], as the bundle takes them.

    real: photographs or drawings of another data set, not made from the bundle's own images or from nothing.
    """

    name: str
    title: str
    images: FloatArray
    real: bool


@dataclass(frozen=True, slots=True)
class Kinds:
    """skipped: data sets that are no kind here because their files are not in the data folder."""

    kinds: tuple[Kind, ...]
    skipped: tuple[str, ...]


def outlier_kinds(subject: Subject, inside: FloatArray) -> Kinds:
    """inside: in-distribution images (B, C, H, W). Every kind there is for such images, seeded by the recipe.

    Other data sets first, never the bundle's own: at most max(B, 1000) images of their test part, which no supervised
    detector was fitted on (of letters: other font families). Where their shape differs they are resized, and made
    grey or coloured, into the rectangle that in-distribution images use. Then B images each of noise, flat grey,
    blurred, rotated and half-contrast ones. Raises DataSetInvalid where a file is damaged.
    """
    window = window_of(inside)
    names = [name for name in _candidates(subject, inside.shape[1]) if name != subject.recipe.data.set]
    sets = {name: _held_out(subject, name) for name in names}
    real = [_other_set(subject, name, images, window, inside) for name, images in sets.items() if images is not None]
    skipped = tuple(name for name, images in sets.items() if images is None)
    return Kinds((*real, *_made(inside, window, subject.recipe.seed)), skipped)


def _candidates(subject: Subject, channels: int) -> tuple[str, ...]:
    """Sets that stand for what a service may be sent by mistake; a recipe's own known outliers among them."""
    fitted = tuple(name for name in subject.recipe.anomaly.outliers if name not in _OTHERS)
    colored = ("pedestrians",) if channels > 1 else ()
    faces = (_OF_FACES,) if subject.recipe.data.set == "faces" else ()
    return tuple(dict.fromkeys((*faces, *fitted, *_OTHERS, *colored)))


def _held_out(subject: Subject, name: str) -> ImageSet | None:
    """None where the file is missing, which is an excuse; a damaged one is an error."""
    try:
        if name == "letters":
            return split_families(load_letters(subject.data), subject.recipe.seed)[1]
        return load_images(name, subject.data)[1]
    except DataSetInvalid as error:
        if Path(error.metadata.get("path", subject.data)).exists():
            raise
        return None


def _other_set(subject: Subject, name: str, images: ImageSet, window: Window, inside: FloatArray) -> Kind:
    order = np.random.default_rng(subject.recipe.seed).permutation(len(images))[: max(len(inside), LEAST)]
    chosen = as_floats(images.images[np.sort(order)])
    fitted, how = converted(chosen, inside.shape[1], inside.shape[2:], window)
    return Kind(name, f"{TITLES_OF_SETS.get(name, name)}{how}", fitted, real=True)


def _made(inside: FloatArray, window: Window, seed: int) -> Iterator[Kind]:
    generator = np.random.default_rng(seed)
    noise = generator.random(inside.shape, dtype=np.float32)
    grey = np.broadcast_to(generator.random((len(inside), 1, 1, 1), dtype=np.float32), inside.shape)
    yield Kind("noise", "noise", kept_to(window, noise), real=False)
    yield Kind("flat", "flat grey", kept_to(window, grey), real=False)
    yield Kind("blurred", "blurred", kept_to(window, _blurred(inside)), real=False)
    yield _rotated(inside)
    yield Kind("half_contrast", "half contrast", inside * np.float32(0.5), real=False)


def _rotated(inside: FloatArray) -> Kind:
    """By a quarter; by a half where the image is not square, which keeps its shape."""
    quarters = 1 if inside.shape[2] == inside.shape[3] else 2
    images = np.ascontiguousarray(np.rot90(inside, quarters, axes=(2, 3)))
    return Kind(f"rotated_{90 * quarters}", f"rotated by {90 * quarters}°", images, real=False)


def _blurred(images: FloatArray) -> FloatArray:
    """σ as much of the height as 1.5 is of 28 pixels."""
    from scipy.ndimage import gaussian_filter

    sigma = BLUR_SIGMA * images.shape[2] / 28
    blurred: FloatArray = gaussian_filter(images, sigma=(0, 0, sigma, sigma))
    return np.clip(blurred, 0, 1)
