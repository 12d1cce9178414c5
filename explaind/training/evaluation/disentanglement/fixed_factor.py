"""The FactorVAE score (Kim & Mnih 2018, "Disentangling by factorising"): among images that share one factor's value,
the latent that varies least should name the factor."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explaind.training.evaluation.disentanglement.information import Codes, Factors

VOTES = 800
IMAGES = 64
LEAST_DEVIATION = 0.05
"""Of a latent's codes, relative to the prior's 1, below which it is not used, and so may not vote."""


def factor_score(codes: Codes, factors: Factors, *, votes: int = VOTES, seed: int = 0) -> float:
    """Accuracy of a majority vote, in [0, 1]; of unseen votes, as many as it was learned from.

    A vote: a random factor, a random value of it, IMAGES images that have it (with replacement, since a sample may
    hold fewer), and the used latent of least variance relative to its variance over all images. Latents whose
    codes hardly deviate are left out, as in the paper. 0 where no latent is used.
    """
    deviations = codes.std(axis=0, dtype=np.float64)
    used = np.flatnonzero(deviations > LEAST_DEVIATION)
    if not len(used):
        return 0.0
    generator = np.random.default_rng(seed)
    scaled = codes[:, used] / deviations[used]
    places = [_by_value(factor) for factor in factors.T]
    counts, unseen = (_count_votes(scaled, places, votes, generator) for _ in range(2))
    named = counts.argmax(axis=1)
    return float(unseen[np.arange(len(used)), named].sum() / votes)


def _by_value(factor: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows of each value that occurs."""
    return [np.flatnonzero(factor == value) for value in np.unique(factor)]


def _count_votes(
    scaled: Codes, places: list[list[NDArray[np.int64]]], votes: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """(used latents, factors): how often each latent varied least while each factor was held."""
    counts = np.zeros((scaled.shape[1], len(places)), dtype=np.int64)
    for _ in range(votes):
        factor = int(generator.integers(len(places)))
        rows = places[factor][int(generator.integers(len(places[factor])))]
        counts[scaled[generator.choice(rows, IMAGES)].var(axis=0).argmin(), factor] += 1
    return counts
