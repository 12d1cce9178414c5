"""The chi-square distribution and its normal equivalent, from the standard library alone.

Half a chi-square variable of k degrees of freedom is a gamma variable of shape k/2, so both tails are regularised
incomplete gamma functions; for half-integer shapes the upper one is a finite sum of positive terms.
"""

from __future__ import annotations

import math
from statistics import NormalDist

_NORMAL = NormalDist()
_RAREST = 1e-300
"""Probabilities below are not told apart: their normal equivalent is 37 or more."""


def lower(statistic: float, freedom: int) -> float:
    """P(χ² ≤ statistic) with `freedom` ≥ 1 degrees of freedom, to full relative precision for the nearest pairs."""
    shape, x = freedom / 2, statistic / 2
    return _series(shape, x) if x < shape + 1 else 1.0 - upper(statistic, freedom)


def upper(statistic: float, freedom: int) -> float:
    """P(χ² > statistic) with `freedom` ≥ 1 degrees of freedom."""
    x = statistic / 2
    if x <= 0:
        return 1.0
    start = 0.0 if freedom % 2 == 0 else 0.5
    terms = (_density(start + step, x) for step in range(freedom // 2))
    return min(1.0, (math.erfc(math.sqrt(x)) if start else 0.0) + math.fsum(terms))


def normal_equivalent(statistic: float, freedom: int) -> float:
    """The z ≥ 0 with P(|N(0, 1)| > z) = P(χ² > statistic): of one degree of freedom its square root."""
    if freedom == 1:
        return math.sqrt(statistic)
    return max(0.0, -_NORMAL.inv_cdf(max(upper(statistic, freedom), _RAREST) / 2))


def _series(shape: float, x: float) -> float:
    """Σ_n x^(shape+n)·e^(−x)/Γ(shape+n+1); below its turn at x = shape + 1 the terms fall at least geometrically."""
    term = total = _density(shape, x)
    while term > total * 1e-17:
        shape += 1
        term *= x / shape
        total += term
    return min(1.0, total)


def _density(power: float, x: float) -> float:
    """x^power·e^(−x)/Γ(power+1)."""
    return math.exp(power * math.log(x) - x - math.lgamma(power + 1)) if x > 0 else 0.0
