"""The decision between two classes alone: probability, entropy in bits, and where along a path it is undecided."""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.types import DoubleArray


def probability(logits: NDArray[np.floating], of: int, against: int) -> DoubleArray:
    """logits (..., K) → p(of | {of, against}) (...), from the logits' difference so that tails stay exact."""
    difference = logits[..., of].astype(np.float64) - logits[..., against].astype(np.float64)
    return np.asarray(np.exp(-np.logaddexp(0.0, -difference)))


def entropy(logits: NDArray[np.floating], first: int, second: int) -> DoubleArray:
    """logits (..., K) → entropy over {first, second} (...) in bits, in [0, 1]."""
    p, q = probability(logits, first, second), probability(logits, second, first)
    return np.asarray(-(_plog2(p) + _plog2(q)))


@functools.lru_cache(maxsize=256)
def sure_lead(threshold: float) -> float:
    """The difference of two logits from which on the entropy over their classes is below `threshold` (bits, in (0, 1]);
    0 at 1."""
    low, high = 0.0, 800.0  # entropy 1, and below the least positive number
    while low < (middle := 0.5 * (low + high)) < high:
        low, high = (middle, high) if entropy_of_lead(middle) >= threshold else (low, middle)
    return low


def entropy_of_lead(lead: float) -> float:
    """lead ≥ 0, of one logit over another → entropy over their classes in bits; `entropy` for one pair of numbers."""
    other = 1.0 / (1.0 + math.exp(min(lead, 700.0)))
    mine = 1.0 - other
    return -(mine * math.log2(mine) + other * math.log2(other))


def window(entropies: DoubleArray) -> tuple[float, float]:
    """entropies (n,) along a path → (entropy-weighted mean step, 1-based; 1.96 weighted deviations).

    The middle and 0 where the entropy is 0 everywhere.
    """
    steps = np.arange(1, len(entropies) + 1, dtype=np.float64)
    total = float(entropies.sum())
    if total <= 0.0:
        return float(steps.mean()), 0.0
    mean = float(entropies @ steps) / total
    return mean, 1.96 * float(np.sqrt(entropies @ (steps - mean) ** 2 / total))


def _plog2(p: DoubleArray) -> DoubleArray:
    return np.asarray(p * np.log2(np.where(p > 0, p, 1.0)))
