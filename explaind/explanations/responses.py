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
    highest = rest.max(axis=-1, keepdims=True)
    return np.asarray(highest + np.log(np.exp(rest - highest).sum(axis=-1, keepdims=True)))


def of_class(logits: FloatArray, measure: ImportanceMeasure, target: int) -> DoubleArray:
    """logits (..., K) → the target's log-odds (LOGIT_DEVIATION) or probability (every other measure), (...)."""
    table = log_odds(logits) if measure is ImportanceMeasure.LOGIT_DEVIATION else probabilities(logits)
    return np.asarray(table[..., target])


def spread(responses: AnyReal, measure: ImportanceMeasure, weights: AnyReal | None = None) -> DoubleArray:
    """Population deviation (ddof 0) of responses (..., S) over the last axis, its square for PROBABILITY_VARIANCE.

    weights (..., S) ≥ 0: 0 where their sum is. [LR]'s text says variance, its tables deviation: both are offered.
    """
    counted = np.ones(responses.shape) if weights is None else weights.astype(np.float64)
    variance = _covariance(responses, responses, counted)
    if measure is ImportanceMeasure.PROBABILITY_VARIANCE:
        return variance
    return np.asarray(np.sqrt(variance))


def directions(values: AnyReal, responses: AnyReal, weights: AnyReal | None = None) -> DoubleArray:
    """Sign of the correlation of responses (..., S) with latent values (..., S): +1, −1, or 0 where undecided."""
    counted = np.ones(responses.shape) if weights is None else weights.astype(np.float64)
    spreads = np.sqrt(_covariance(values, values, counted) * _covariance(responses, responses, counted))
    covariance = _covariance(values, responses, counted)
    decided = (np.abs(covariance) >= UNDECIDED_BELOW * spreads) & (spreads > CONSTANT_BELOW)
    return np.where(decided, np.sign(covariance), 0.0)


def _covariance(first: AnyReal, second: AnyReal, weights: DoubleArray) -> DoubleArray:
    total = weights.sum(axis=-1, keepdims=True)
    shares = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    product = shares * _centered(first, shares) * _centered(second, shares)
    return np.asarray(product.sum(axis=-1), dtype=np.float64)


def _centered(values: AnyReal, shares: DoubleArray) -> DoubleArray:
    # Measured from the first value, so that a constant response is exactly 0 everywhere.
    shifted = values.astype(np.float64) - values[..., :1]
    return np.asarray(shifted - (shares * shifted).sum(axis=-1, keepdims=True))
