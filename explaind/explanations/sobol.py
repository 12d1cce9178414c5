"""SOBOL (DESIGN §3.1): total-effect indices of p_s by Jansen's estimator; sees what one-at-a-time methods miss."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explaind.errors import DeadlineTooShort
from explaind.explanations import responses, traversal
from explaind.explanations.budget import Budget
from explaind.explanations.models import RankingModels
from explaind.explanations.types import DoubleArray, FloatArray

BASE_SAMPLES = 256
BOX_HALF_WIDTH = 1.0


@dataclass(frozen=True, slots=True)
class TotalEffects:
    """indices (K, D): share of Var p_k that is left when every other latent is known, in [0, 1]; 0 for
    latents held fixed and where p_k is constant. directions (K, D): of p_k with the latent over the sample.
    deviation (K,): of p_k, what the shares are shares of."""

    indices: DoubleArray
    directions: DoubleArray
    deviation: DoubleArray


def prior_total_effects(
    models: RankingModels, latent_count: int, *, seed: int, base_samples: int = BASE_SAMPLES
) -> TotalEffects:
    """Global: every latent standard normal. Costs (D + 1) · base_samples decodings."""
    generator = np.random.default_rng(seed)
    first, second = generator.standard_normal((2, base_samples, latent_count))
    return total_effects(models, first, second, range(latent_count))


def box_total_effects(
    models: RankingModels, mean: FloatArray, dimensions: Sequence[int], *, seed: int, budget: Budget | None = None
) -> TotalEffects:
    """Local: `dimensions` uniform in μ ± 1, the others held at μ; mean (D,). DeadlineTooShort when time runs out."""
    generator = np.random.default_rng(seed)
    shifts = np.zeros((2, BASE_SAMPLES, len(mean)))
    moved = list(dimensions)
    shifts[:, :, moved] = generator.uniform(-BOX_HALF_WIDTH, BOX_HALF_WIDTH, (2, BASE_SAMPLES, len(moved)))
    first, second = mean.astype(np.float64) + shifts
    return total_effects(models, first, second, dimensions, budget=budget)


def total_effects(
    models: RankingModels,
    first: DoubleArray,
    second: DoubleArray,
    dimensions: Sequence[int],
    *,
    budget: Budget | None = None,
) -> TotalEffects:
    """Jansen: mean (f(A) − f(A with latent d from B))² / (2 Var f), for two independent samples A, B (N, D)."""
    base = _probabilities(models, first, budget)
    indices = np.zeros((base.shape[1], first.shape[1]))
    for dimension in dimensions:
        mixed = first.copy()
        mixed[:, dimension] = second[:, dimension]
        indices[:, dimension] = _jansen(base, _probabilities(models, mixed, budget))
    return TotalEffects(indices=indices, directions=_directions(first, base), deviation=base.std(axis=0))


def _jansen(base: DoubleArray, mixed: DoubleArray) -> DoubleArray:
    """base, mixed (N, K) → (K,).

    The variance is that of these two samples together: near a confident image p is flat but for a few points, and a
    variance from elsewhere may miss the very points that the squared differences hold (1.6 was seen so).
    """
    missed = np.square(base - mixed).mean(axis=0)
    variance = np.concatenate([base, mixed]).var(axis=0)
    varies = variance > responses.CONSTANT_BELOW**2
    shares = np.divide(missed, 2.0 * variance, out=np.zeros_like(missed), where=varies)
    return np.asarray(np.clip(shares, 0.0, 1.0))


def _probabilities(models: RankingModels, sample: DoubleArray, budget: Budget | None) -> DoubleArray:
    if budget is not None and budget.nearly_spent():
        message = "Sobol indices need more time than the deadline leaves; allow more, or rank by another method."
        raise DeadlineTooShort(message)
    return responses.probabilities(traversal.logits_of_codes(models, sample.astype(np.float32), budget))


def _directions(sample: DoubleArray, base: DoubleArray) -> DoubleArray:
    """sample (N, D), base (N, K) → (K, D)."""
    columns = np.broadcast_to(sample.T[None], (base.shape[1], *sample.T.shape))
    return responses.directions(columns, np.broadcast_to(base.T[:, None], columns.shape))
