"""Where a morph starts: a code near the image that decodes to something the classifier sees alike (DESIGN §3.3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.budget import Budget
from explaind.explanations.models import Classifier, MorphingModels
from explaind.explanations.prediction import top_two
from explaind.explanations.types import DecodedCode, DoubleArray, FloatArray, Prediction

SAMPLES = 64
WIDENINGS = (1.0, 2.0, 3.0)
"""Of σ(x), tried in turn: on 500 letters 6 have no code of their class at 1, for the autoencoder rebuilds them as
another letter."""
LOOKED_AT_FIRST = 8
"""Candidates classified at once, then twice as many, … Too few: more calls; too many: classified in vain."""


@dataclass(frozen=True, slots=True)
class MorphStart:
    """code (D,) and what it decodes to; top_class: what that is seen as; None: no candidate was of a class to start
    from (`code` is μ(x) then). fit: see `choose`. agrees: same top two classes as the image."""

    code: DoubleArray
    decoded: DecodedCode
    top_class: int | None
    fit: bool
    agrees: bool


def choose(
    models: MorphingModels,
    image: FloatArray,
    pair: tuple[int, int],
    prediction: Prediction,
    random: np.random.Generator,
    budget: Budget,
    *,
    mean_suffices: bool = False,
) -> MorphStart:
    """image (C, H, W); pair: the two classes the path joins → the L1-closest fit candidate.

    Candidates are μ(x) and 64 samples of N(μ(x), σ(x)), or of two and three times that σ where none is fit. Fit are
    those with the image's top two classes; if none, with its top class; where that class is not of the pair, those
    whose top class is. Raises Cancelled.

    mean_suffices: μ(x) is taken where it is fit, and none is sampled then. Of 300 digits it is the closest fit one for
    189 anyway; taken where fit, as many morphs are confirmed (0.980, else 0.977) and natural (0.970, else 0.960).
    """
    budget.raise_if_cancelled()
    mean, deviation = models.autoencoder.encode(image[None])
    if mean_suffices:
        start = _closest(models, image, mean, pair, prediction, budget)
        if start.fit:
            return start
    for widening in WIDENINGS:
        codes = _candidates(mean[0], widening * deviation[0], random)
        start = _closest(models, image, codes, pair, prediction, budget)
        if start.top_class is not None:
            break
    return start


def _closest(
    models: MorphingModels,
    image: FloatArray,
    codes: FloatArray,
    pair: tuple[int, int],
    prediction: Prediction,
    budget: Budget,
) -> MorphStart:
    """codes (B, D), μ(x) first → the L1-closest fit one."""
    budget.raise_if_cancelled()
    images = models.autoencoder.decode(codes)
    order = _distances(images, image).argsort(kind="stable")
    own = top_two(prediction.logits)
    logits = np.empty((0, len(prediction.logits)), np.float32)
    for more in _classified(models.classifier, images, order, budget):
        seen, logits, tops = len(logits), np.concatenate([logits, more]), top_two(more)
        fit = np.isin(tops[:, 0], pair) if own[0] not in pair else (tops == own).all(axis=1)
        if fit.any():
            first = int(fit.argmax())
            place, top_class = seen + first, int(tops[first, 0])
            return _start(codes, images, order[place], logits[place], top_class, fit=True, agrees=own[0] in pair)
    likeliest = top_two(logits)[:, 0].tolist()
    if own[0] not in pair or own[0] not in likeliest:
        return _start(codes, images, 0, logits[int(order.argmin())], None)
    place = likeliest.index(own[0])
    return _start(codes, images, order[place], logits[place], int(own[0]))


def _distances(images: FloatArray, image: FloatArray) -> DoubleArray:
    """images (B, C, H, W), image (C, H, W) → Σ|difference| (B,)."""
    difference = images - image
    np.abs(difference, out=difference)
    return np.asarray(difference.reshape(len(images), -1).astype(np.float64).sum(axis=1))


def _classified(
    classifier: Classifier, images: FloatArray, order: NDArray[np.intp], budget: Budget
) -> Iterator[FloatArray]:
    """images (B, C, H, W) → their logits (b, K) in that order, a few at a time: one of the first is nearly always fit,
    and then the others are not asked for."""
    start, count = 0, LOOKED_AT_FIRST
    while start < len(order):
        budget.raise_if_cancelled()
        yield classifier.logits(images[order[start : start + count]])
        start, count = start + count, 2 * count


def _start(
    codes: FloatArray,
    images: FloatArray,
    chosen: int,
    logits: FloatArray,
    top_class: int | None,
    *,
    fit: bool = False,
    agrees: bool = False,
) -> MorphStart:
    """chosen: which of the codes; logits (K,): its own."""
    decoded = DecodedCode(images[chosen : chosen + 1], logits)
    return MorphStart(codes[chosen].astype(np.float64), decoded, top_class, fit, agrees)


def _candidates(mean: FloatArray, deviation: FloatArray, random: np.random.Generator) -> FloatArray:
    """(1 + SAMPLES, D), μ(x) first."""
    noise = random.standard_normal((SAMPLES, len(mean)))
    return np.concatenate([mean[None], mean + deviation * noise]).astype(np.float32)
