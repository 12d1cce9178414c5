"""What a ranking reads off the classifier's logits: the probability or the log-odds of a class (DESIGN §3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.prediction import softmax
from explaind.explanations.types import DoubleArray, FloatArray, ImportanceMeasure

# Sums are made in float64 whatever comes in; counts serve as weights.
AnyReal = NDArray[np.floating] | NDArray[np.int32]

# A response that moves by less than this is a constant one seen through float32.
CONSTANT_BELOW = 1e-6
# |correlation| under which more of a latent is neither more nor less of the class.
UNDECIDED_BELOW = 0.1


def probabilities(logits: FloatArray) -> DoubleArray:
    """logits (..., K) → (..., K): beside `log_odds`, the response that the source uses."""
    return softmax(logits)


def log_odds(logits: FloatArray) -> DoubleArray:
    """l_s − logsumexp of the other logits, for every class s: (..., K) → (..., K), K ≥ 2.

    Finite where the probability has long saturated, which is why rankings prefer it.
    """
    wide = logits.astype(np.float64)
    shifted = wide - wide.max(axis=-1, keepdims=True)
    # Below the top class the others' sum holds the top's 1, so the subtraction cancels nothing.
    exponentials = np.exp(shifted)
    others = np.log(np.maximum(exponentials.sum(axis=-1, keepdims=True) - exponentials, 1e-300))
    top = np.argmax(shifted, axis=-1, keepdims=True)
    np.put_along_axis(others, top, _log_sum_without(shifted, top), axis=-1)
    return np.asarray(shifted - others)


def _log_sum_without(shifted: DoubleArray, top: NDArray[np.intp]) -> DoubleArray:
    """logsumexp over all but the `top` entry, summed afresh so that a dominant top does not drown the rest."""
    rest = shifted.copy()
    np.put_along_axis(rest, top, -np.inf, axis=-1)
    return _log_sum(rest)


def _log_sum(logits: DoubleArray) -> DoubleArray:
    """logsumexp (..., K) → (..., 1); at least one is finite."""
    highest = logits.max(axis=-1, keepdims=True)
    return np.asarray(highest + np.log(np.exp(logits - highest).sum(axis=-1, keepdims=True)))


def of_class(logits: FloatArray, measure: ImportanceMeasure, target: int) -> DoubleArray:
    """logits (..., K) → the target's log-odds (LOGIT_DEVIATION) or probability (every other measure), (...)."""
    if measure is not ImportanceMeasure.LOGIT_DEVIATION:
        return np.asarray(probabilities(logits)[..., target])
    rest = logits.astype(np.float64)
    own = rest[..., target].copy()
    rest[..., target] = -np.inf
    return np.asarray(own - _log_sum(rest)[..., 0])


def spread(responses: AnyReal, measure: ImportanceMeasure, weights: AnyReal | None = None) -> DoubleArray:
    """Population deviation (ddof 0) of responses (..., S) over the last axis, its square for PROBABILITY_VARIANCE.

    weights (..., S) ≥ 0: 0 where their sum is. [LR]'s text says variance, its tables deviation: both are offered.
    """
    shares = _shares(responses, weights)
    centered = _centered(responses, shares)
    variance = _mean_product(shares, centered, centered)
    return variance if measure is ImportanceMeasure.PROBABILITY_VARIANCE else np.asarray(np.sqrt(variance))


def directions(values: AnyReal, responses: AnyReal, weights: AnyReal | None = None) -> DoubleArray:
    """Sign of the correlation of responses (..., S) with latent values (..., S): +1, −1, or 0 where undecided."""
    shares = _shares(responses, weights)
    along, moved = _centered(values, shares), _centered(responses, shares)
    spreads = np.sqrt(_mean_product(shares, along, along) * _mean_product(shares, moved, moved))
    covariance = _mean_product(shares, along, moved)
    decided = (np.abs(covariance) >= UNDECIDED_BELOW * spreads) & (spreads > CONSTANT_BELOW)
    return np.where(decided, np.sign(covariance), 0.0)


def _shares(responses: AnyReal, weights: AnyReal | None) -> DoubleArray | float:
    """Of each response in a mean over the last axis; 0 where the weights' sum is. One number where all are equal."""
    if weights is None:
        return 1.0 / int(responses.shape[-1])
    counted = weights.astype(np.float64)
    total = counted.sum(axis=-1, keepdims=True)
    return np.asarray(np.divide(counted, total, out=np.zeros_like(counted), where=total > 0))


def _mean_product(shares: DoubleArray | float, first: DoubleArray, second: DoubleArray) -> DoubleArray:
    return np.asarray((shares * first * second).sum(axis=-1))


def _centered(values: AnyReal, shares: DoubleArray | float) -> DoubleArray:
    # Measured from the first value, so that a constant response is exactly 0 everywhere.
    shifted = values.astype(np.float64) - values[..., :1]
    return np.asarray(shifted - (shares * shifted).sum(axis=-1, keepdims=True))
