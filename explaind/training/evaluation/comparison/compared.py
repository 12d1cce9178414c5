"""Which latent differs most between an image and its changed copy. Arrays in, figures out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.latent_comparison import compare
from explaind.explanations.models import Encoder
from explaind.explanations.types import DoubleArray, Factor, FloatArray, RankingReference


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """Of B pairs. z_scores (B, F): of each factor, in the factors' order, NaN where it is unused. first (B,): the
    factor that differs most. same_p_values (B,): small where the two are nearer than random images are."""

    z_scores: DoubleArray
    first: NDArray[np.int64]
    same_p_values: DoubleArray

    def names(self, factors: tuple[Factor, ...]) -> tuple[str, float]:
        """The factor that is first most often, and in which share of the pairs."""
        counts = np.bincount(self.first, minlength=len(factors))
        return factors[int(counts.argmax())].label, float(counts.max() / len(self.first))


def compare_pairs(
    encoder: Encoder,
    reference: RankingReference,
    factors: tuple[Factor, ...],
    images: FloatArray,
    changed: FloatArray,
) -> Compared:
    """images, changed (B, C, H, W), as `CompareLatents` compares image b with image a."""
    place = {factor.label: index for index, factor in enumerate(factors)}
    scores = np.full((len(images), len(factors)), np.nan)
    first, same = np.zeros(len(images), np.int64), np.zeros(len(images))
    for row, pair in enumerate(zip(images, changed, strict=True)):
        comparison = compare(encoder, reference, factors, np.stack(pair))
        for difference in comparison.differences:
            scores[row, place[difference.factor.label]] = difference.z_score
        first[row] = place[comparison.differences[0].factor.label]
        same[row] = comparison.same_p_value
    return Compared(scores, first, same)


def typical(compared: Compared) -> DoubleArray:
    """Median z-score of each factor over the pairs, (F,); 0 of unused ones."""
    return np.nan_to_num(np.median(compared.z_scores, axis=0))
