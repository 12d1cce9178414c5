"""The four methods' rankings of single images, and how far they agree on each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from explaind.explanations import latent_ranking
from explaind.explanations.models import RankingModels
from explaind.explanations.types import (
    DoubleArray,
    Factor,
    FloatArray,
    LatentRankingParameters,
    Prediction,
    RankingMethod,
    RankingReference,
)
from explaind.training.evaluation.rankings.agreement_of_orders import Agreement, agreement

Importances = Mapping[RankingMethod, DoubleArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Median and quartiles over images of each correlation; same_first: share of images."""

    spearman: tuple[float, float, float]
    kendall: tuple[float, float, float]
    same_first: float


def methods_of(reference: RankingReference) -> tuple[RankingMethod, ...]:
    """Those that this space offers: all, or all but the forest."""
    return tuple(m for m in RankingMethod if m is not RankingMethod.RANDOM_FOREST or reference.forest is not None)


def local_importances(
    models: RankingModels, reference: RankingReference, image: FloatArray, prediction: Prediction
) -> Importances:
    """Magnitudes of the used latents' importances (U,) by each method with its first measure; image (C, H, W)."""
    factors = tuple(Factor(dimensions=(int(d),), label=f"z{d}") for d in np.flatnonzero(reference.used))
    found = {}
    for method in methods_of(reference):
        parameters = LatentRankingParameters(method=method)
        ranking = latent_ranking.explain(models, reference, factors, image, parameters, prediction=prediction)
        by_latent = {latent.factor.dimensions: abs(latent.importance) for latent in ranking.latents}
        found[method] = np.array([by_latent[factor.dimensions] for factor in factors])
    return found


def agreements(rankings: Sequence[Importances]) -> Mapping[tuple[RankingMethod, RankingMethod], Spread]:
    """One Importances an image → the spread over images for every pair of methods."""
    pairs = combinations(rankings[0], 2)
    return {(a, b): _spread([agreement(image[a], image[b]) for image in rankings]) for a, b in pairs}


def _spread(rows: Sequence[Agreement]) -> Spread:
    return Spread(
        spearman=_quartiles([row.spearman for row in rows]),
        kendall=_quartiles([row.kendall for row in rows]),
        same_first=float(np.mean([row.same_first for row in rows])),
    )


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """(median, lower, upper); nan where no image has a value."""
    known = [value for value in values if value == value]
    if not known:
        return (np.nan, np.nan, np.nan)
    low, middle, high = np.quantile(known, [0.25, 0.5, 0.75])
    return (float(middle), float(low), float(high))
