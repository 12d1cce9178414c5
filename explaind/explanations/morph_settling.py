"""FAST morphing's end, brought back to where the encoder would put it: a counterfactual, not an adversarial image.

A walk that only climbs a logit leaves what the autoencoder knows: the classifier is sure of the end's picture, but
encoding and decoding it gives another one. Twice over, the end is replaced by what the round trip keeps of it,
and the walk goes on from there if that lost the class. Measured on 500 digits with the bundle's own p-value, which
takes no part in it: the ends pass it at 0.01 in 0.966 of the morphs instead of 0.804, a second classifier confirms as
many (0.984, 0.988), and the distance is 2.70 instead of 2.07 (the source's solver: 0.74, 0.86 and 4.6). A third round
trip adds 0.004 and a distance of 0.22.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from explaind.explanations.budget import Budget
from explaind.explanations.models import Classifier, Encoder, MorphingModels
from explaind.explanations.morph_start import MorphStart
from explaind.explanations.morph_walk import MASK_RESERVE, Goal, Stop, Walk
from explaind.explanations.types import DoubleArray, FloatArray

ROUNDS = 2

WalkOn = Callable[[DoubleArray, int], Walk]
"""(code, steps taken so far) → where the walk from there ends; its steps are its own."""


class RoundTrip:
    """z → start + μ(dec(z)) − μ(dec(start)): the way from the start, as far as decoding and encoding keep it.

    The start stays where it is, and so does whatever of it lies in latents that the decoder does not use, which
    μ(dec(z)) alone would set to 0.
    """

    def __init__(self, models: MorphingModels, start: MorphStart, budget: Budget) -> None:
        self._models, self._budget = models, budget
        self._start, self._start_image = start.code, start.decoded.image
        self._base: DoubleArray | None = None

    def decode(self, code: DoubleArray) -> FloatArray:
        """code (D,) → image (1, C, H, W). Raises Cancelled."""
        self._budget.raise_if_cancelled()
        return self._models.autoencoder.decode(code[None].astype(np.float32))

    def back(self, image: FloatArray) -> DoubleArray:
        """image (1, C, H, W), decoded → the code (D,) that the round trip gives. Raises Cancelled."""
        if self._base is None:  # in one call with the first image
            self._base, code = self._encode(np.concatenate([self._start_image, image]))
        else:
            (code,) = self._encode(image)
        return np.asarray(self._start + code - self._base)

    def logits(self, image: FloatArray) -> FloatArray:
        """(1, C, H, W) → (K,). Raises Cancelled."""
        self._budget.raise_if_cancelled()
        classifier: Classifier = self._models.classifier
        return np.asarray(classifier.logits(image)[0])

    def _encode(self, images: FloatArray) -> DoubleArray:
        """images (B, C, H, W) → μ (B, D)."""
        self._budget.raise_if_cancelled()
        encoder: Encoder = self._models.autoencoder
        return np.asarray(encoder.encode(images)[0], dtype=np.float64)


def settle(models: MorphingModels, start: MorphStart, end: Walk, goal: Goal, walk_on: WalkOn, budget: Budget) -> Walk:
    """`end` of the walk from `start` → the end after two round trips, at the goal like `end`.

    A walk that did not reach the goal is returned as it is; so is the last end at the goal where the steps or the
    time are spent before the next. Raises Cancelled.
    """
    if end.stop is not Stop.REACHED:
        return end
    trip = RoundTrip(models, start, budget)
    image = _image(trip, end)
    for _ in range(ROUNDS):
        if budget.nearly_spent(MASK_RESERVE):
            break
        code = trip.back(image)
        image = trip.decode(code)
        kept = Walk(code, trip.logits(image), end.steps, Stop.REACHED, image)
        if not goal.reached(kept.logits):
            kept = _further(walk_on, kept)
            if kept.stop is not Stop.REACHED:
                break
            image = _image(trip, kept)
        end = replace(kept, image=image)
    return end


def _image(trip: RoundTrip, end: Walk) -> FloatArray:
    return trip.decode(end.code) if end.image is None else end.image


def _further(walk_on: WalkOn, lost: Walk) -> Walk:
    further = walk_on(lost.code, lost.steps)
    return replace(further, steps=lost.steps + further.steps)
