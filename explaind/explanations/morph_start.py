"""Where a morph starts: a code near the image that decodes to something the classifier sees alike (DESIGN §3.3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.explanations.budget import Budget
from explaind.explanations.models import MorphingModels
from explaind.explanations.prediction import top_two
from explaind.explanations.types import BoolArray, DoubleArray, FloatArray, Prediction

SAMPLES = 64
WIDENINGS = (1.0, 2.0, 3.0)
"""Of σ(x), tried in turn: on 500 letters 6 have no code of their class at 1, for the autoencoder rebuilds them as
another letter."""


@dataclass(frozen=True, slots=True)
class MorphStart:
    """code (D,); top_class: what it decodes to; None: no candidate was fit (`code` is μ(x) then).
    agrees: same top two classes as the image."""

    code: DoubleArray
    top_class: int | None
    agrees: bool


def choose(
    models: MorphingModels,
    image: FloatArray,
    pair: tuple[int, int],
    prediction: Prediction,
    random: np.random.Generator,
    budget: Budget,
) -> MorphStart:
    """image (C, H, W); pair: the two classes the path joins → the L1-closest fit candidate.

    Candidates are μ(x) and 64 samples of N(μ(x), σ(x)), or of two and three times that σ where none is fit. Fit are
    those with the image's top two classes; if none, with its top class; where that class is not of the pair, those
    whose top class is. Raises Cancelled.
    """
    budget.raise_if_cancelled()
    mean, deviation = models.autoencoder.encode(image[None])
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
    budget.raise_if_cancelled()
    tops = top_two(models.classifier.logits(images))
    fit, agrees = _fit(tops, top_two(prediction.logits), pair)
    if not fit.any():
        return MorphStart(code=codes[0].astype(np.float64), top_class=None, agrees=False)
    distances = np.abs(images - image).mean(axis=(1, 2, 3), dtype=np.float64)
    best = int(np.argmin(np.where(fit, distances, np.inf)))
    return MorphStart(code=codes[best].astype(np.float64), top_class=int(tops[best, 0]), agrees=agrees)


def _candidates(mean: FloatArray, deviation: FloatArray, random: np.random.Generator) -> FloatArray:
    """(1 + SAMPLES, D), μ(x) first."""
    noise = random.standard_normal((SAMPLES, len(mean)))
    return np.concatenate([mean[None], mean + deviation * noise]).astype(np.float32)


def _fit(tops: np.ndarray, own: np.ndarray, pair: tuple[int, int]) -> tuple[BoolArray, bool]:
    """tops (B, 2), own (2,) → which candidates are fit (B,), and whether they share the image's top two."""
    if own[0] not in pair:
        return np.isin(tops[:, 0], pair), False
    alike = (tops == own).all(axis=1)
    if alike.any():
        return alike, True
    return np.asarray(tops[:, 0] == own[0]), False
