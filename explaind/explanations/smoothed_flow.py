"""FAST morphing: a smoothed, normalised gradient flow on the target's logit (DESIGN §3.3).

Averaging the gradient over neighbours of the code looks past the decoder's small folds, so the walk ends at
more natural images than the plain gradient's; dividing by the norm makes every step equally long in z. Neighbours come
in opposite pairs, whose average holds no more noise than that of twice as many single ones.

On 500 digits (see `morph_settling` for the round trips that follow), beside eight single neighbours and steps of 0.25:
a second classifier confirms 0.984 of the morphs (0.978), 0.966 are natural by the bundle's p-value (0.960), the median
distance is 2.70 (2.80), with 35 gradients instead of 100.

Where two classes are alike, as shirt and pullover, the target's logit rises together with its rival's and the walk
circles short of certainty. So from step 13 to 30 it climbs the target's lead over the strongest other class, without
neighbours, and as before from there on, for where that circles too.
"""

from __future__ import annotations

import math

import numpy as np

from explaind.explanations.types import DoubleArray, FloatArray

PAIRS = 2
NEIGHBOURS = 2 * PAIRS
DEVIATION = 1.0  # of the neighbours around the code, in units of the prior
STEP = 0.5
LEAD_STEPS = range(13, 30)


class SmoothedFlow:
    """Steps of 0.5 along the mean gradient of the code and 4 neighbours; no likelihood term."""

    steps = 60

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._taken = 0

    def batch(self, code: DoubleArray) -> DoubleArray:
        if self._taken in LEAD_STEPS:
            return code[None]
        away = DEVIATION * self._random.standard_normal((PAIRS, len(code)))
        return np.concatenate([code[None], code + away, code - away])

    def rival(self, target: int, logits: FloatArray) -> int | None:
        if self._taken not in LEAD_STEPS:
            return None
        return int(np.argmax(np.where(np.arange(len(logits)) == target, -np.inf, logits)))

    def advance(self, code: DoubleArray, gradient: DoubleArray, target_logit: float) -> DoubleArray:
        self._taken += 1
        mean = gradient.mean(axis=0)
        return np.asarray(code + STEP / max(math.sqrt(float(mean @ mean)), 1e-30) * mean)
