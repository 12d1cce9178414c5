"""Regions swapped between two images: does the classifier's answer go with the region?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explaind.explanations import two_class
from explaind.explanations.models import Classifier
from explaind.explanations.types import BoolArray, DoubleArray, FloatArray
from explaind.training.datasets import LabelArray

_OVERLAP = 0.1
"""Of the region, that its control may share with it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Swap:
    """Two images that the classifier sees as classes (a, b), and a region (H, W) of interest with its control, a
    region of the same shape elsewhere."""

    images: tuple[FloatArray, FloatArray]
    classes: tuple[int, int]
    region: BoolArray
    control: BoolArray

    def pasted(self, region: BoolArray) -> FloatArray:
        """(2, C, H, W): the first image with the region of the second, and the other way round."""
        first, second = self.images
        return np.stack([np.where(region, second, first), np.where(region, first, second)])

    def difference_within(self, region: BoolArray) -> float:
        """Share of Σ|a − b| that lies in the region."""
        apart = np.abs(self.images[0] - self.images[1]).sum(axis=0, dtype=np.float64)
        return float(apart[region].sum() / max(float(apart.sum()), 1e-12))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answers:
    """After swapping one region in n swaps. seen (n, 2): the classes. followed (n, 2): the class is that of the image
    the region came from; kept (n, 2): still that of the image it went into. moved (n, 2): rise of the probability of
    the region's own class between the two."""

    seen: LabelArray
    followed: BoolArray
    kept: BoolArray
    moved: DoubleArray


def moved_region(region: BoolArray, apart: DoubleArray) -> BoolArray:
    """region (H, W) → the same shape elsewhere, going round at the edges: of the places that share at most a tenth
    with it the one where `apart` (H, W) has most, for a control that could well matter; of the places that share
    least, where all share more."""
    spectrum = np.conj(np.fft.rfft2(region.astype(np.float64)))
    shared = np.fft.irfft2(spectrum * np.fft.rfft2(region.astype(np.float64)), s=region.shape)
    weight = np.fft.irfft2(spectrum * np.fft.rfft2(apart), s=region.shape)
    allowed = shared <= max(_OVERLAP * float(region.sum()), float(shared.min()) + 1e-6)
    best = np.unravel_index(int(np.argmax(np.where(allowed, weight, -np.inf))), region.shape)
    return np.roll(region, (int(best[0]), int(best[1])), axis=(0, 1))


def nearest(image: FloatArray, candidates: FloatArray) -> int:
    """image (C, H, W), candidates (n, C, H, W) → the closest in squared pixels, so that the swap fits."""
    return int(np.argmin(np.square(candidates - image).sum(axis=(1, 2, 3))))


def ask(classifier: Classifier, swaps: Sequence[Swap], *, control: bool) -> Answers:
    """The classifier's answers to both images of each swap, region or control exchanged."""
    pasted = np.concatenate([swap.pasted(swap.control if control else swap.region) for swap in swaps])
    logits = classifier.logits(np.ascontiguousarray(pasted, dtype=np.float32)).reshape(len(swaps), 2, -1)
    before = classifier.logits(np.concatenate([np.stack(swap.images) for swap in swaps])).reshape(len(swaps), 2, -1)
    own = np.array([swap.classes for swap in swaps])
    seen = logits.argmax(axis=2)
    return Answers(
        seen=seen.astype(np.int64),
        followed=np.asarray(seen == own[:, ::-1]),
        kept=np.asarray(seen == own),
        moved=_of_donor(logits, own) - _of_donor(before, own),
    )


def _of_donor(logits: FloatArray, own: LabelArray) -> DoubleArray:
    """(n, 2): the probability, between the two classes, of the one the region came from."""
    pairs = [(row[0], a, b, row[1]) for row, (a, b) in zip(logits, own, strict=True)]
    return np.array([[two_class.probability(x, b, a), two_class.probability(y, a, b)] for x, a, b, y in pairs])
