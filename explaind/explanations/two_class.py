"""The decision between two classes alone: probability, entropy in bits, and where along a path it is undecided."""

from __future__ import annotations

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
