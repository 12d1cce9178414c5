"""How alike two rankings of the same latents are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import kendalltau, rankdata

from explaind.explanations.types import DoubleArray


@dataclass(frozen=True, slots=True)
class Agreement:
    """spearman, kendall: in [−1, 1], nan where a ranking is constant or there are fewer than three latents.
    same_first: both put the same latent first."""

    spearman: float
    kendall: float
    same_first: bool


def agreement(one: DoubleArray, other: DoubleArray) -> Agreement:
    """one, other (D,): importances; equal ones share a rank (Kendall's τ-b)."""
    same_first = int(np.argmax(one)) == int(np.argmax(other))
    if len(one) < 3 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return Agreement(np.nan, np.nan, same_first)
    ranks = rankdata(one), rankdata(other)
    return Agreement(float(np.corrcoef(*ranks)[0, 1]), float(kendalltau(one, other).statistic), same_first)
