"""How well one number tells outliers from in-distribution images: rates, areas, curves. Arrays in, figures out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from explaind.explanations.types import DoubleArray
from explaind.training.evaluation.anomaly.scored import Verdicts


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate and its 95 % interval."""

    rate: float
    low: float
    high: float

    def widened(self, spread: float) -> Interval:
        """With an independent uncertainty of ± `spread` added, in quadrature."""
        return Interval(
            self.rate, self.rate - math.hypot(self.rate - self.low, spread),
            self.rate + math.hypot(self.high - self.rate, spread),
        )  # fmt: skip


def separation(inside: Verdicts, outside: Verdicts) -> dict[str, float]:
    """Outliers are the positive class; `average_precision_members` is the other way round, as [AN] defines it.

    A random score has the base rate as its average precision. fpr_at_95_tpr: share of in-distribution images that
    are called outliers where 95 % of the outliers are.
    """
    kinds, scores = labelled(inside.scores, outside.scores)
    return {
        "auroc": float(roc_auc_score(kinds, scores)),
        "average_precision": float(average_precision_score(kinds, scores)),
        "average_precision_members": float(average_precision_score(1 - kinds, -scores)),
        "base_rate": float(kinds.mean()),
        "fpr_at_95_tpr": float(np.mean(inside.scores >= np.quantile(outside.scores, 0.05))),
        "flagged": float(np.mean(outside.anomalous)),
        "median_p_value": float(np.median(outside.p_values)),
    }


def auroc(inside: DoubleArray, outside: DoubleArray) -> float:
    """Probability that an outlier scores higher than an in-distribution image; ties count half."""
    return float(roc_auc_score(*labelled(inside, outside)))


def two_sided(area: float) -> float:
    """A control may separate in either direction."""
    return max(area, 1 - area)


def areas(inside: Mapping[str, DoubleArray], outside: Mapping[str, DoubleArray]) -> dict[str, float]:
    """AUROC by name."""
    return {name: auroc(inside[name], outside[name]) for name in inside}


def roc(inside: DoubleArray, outside: DoubleArray) -> tuple[DoubleArray, DoubleArray]:
    """False and true positive rates, both rising."""
    false, true, _ = roc_curve(*labelled(inside, outside))
    return np.asarray(false), np.asarray(true)


def share(successes: NDArray[np.bool_]) -> Interval:
    """successes (B,), at least one; the interval is the exact one (Clopper–Pearson)."""
    result = binomtest(int(successes.sum()), len(successes))
    interval = result.proportion_ci(method="exact")
    return Interval(float(successes.mean()), float(interval.low), float(interval.high))


def share_of_groups(successes: NDArray[np.bool_], groups: NDArray[np.int64], seed: int = 0) -> Interval:
    """As `share`, where images of one group (a font family, a stretch of video) are alike: whole groups are drawn
    again, 2,000 times, and the interval holds the middle 95 % of the rates. An interval that took every image for
    itself would be too narrow."""
    _, members, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    found = np.bincount(members, weights=successes)
    drawn = np.random.default_rng(seed).integers(0, len(sizes), (2000, len(sizes)))
    low, high = np.quantile(found[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), [0.025, 0.975])
    return Interval(float(successes.mean()), float(low), float(high))


def labelled(inside: DoubleArray, outside: DoubleArray) -> tuple[NDArray[np.int64], DoubleArray]:
    """0 for inside, 1 for outside; and their scores."""
    return np.repeat([0, 1], [len(inside), len(outside)]), np.concatenate([inside, outside])
