"""FAST morphing: a smoothed, normalised gradient flow on the target's logit (DESIGN §3.3).

Averaging the gradient over neighbours of the code looks past the decoder's small folds, so the walk ends at
more natural images than the plain gradient's; dividing by the norm makes every step equally long in z.
"""

from __future__ import annotations

import numpy as np

from explaind.explanations.types import DoubleArray

NEIGHBOURS = 8
DEVIATION = 1.0  # of the neighbours around the code, in units of the prior
STEP = 0.25


class SmoothedFlow:
    """Steps of 0.25 along the mean gradient of the code and 8 neighbours; no likelihood term."""

    steps = 100

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random

    def batch(self, code: DoubleArray) -> DoubleArray:
        neighbours = code + DEVIATION * self._random.standard_normal((NEIGHBOURS, len(code)))
        return np.concatenate([code[None], neighbours])

    def advance(self, code: DoubleArray, gradient: DoubleArray, target_logit: float) -> DoubleArray:
        mean = gradient.mean(axis=0)
        return np.asarray(code + STEP * mean / max(float(np.linalg.norm(mean)), 1e-30))
