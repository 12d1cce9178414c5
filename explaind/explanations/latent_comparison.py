"""What tells two images apart, factor by factor ([AN]'s sunglasses case; DESIGN §2 CompareLatents).

Measured against what random images differ by: over the reference set latent d has deviation s_d, so the difference of
two independent images has √2·s_d. Under the normal approximation, the used latents taken as independent, half the
squared standardised distance of such a pair is chi-square with as many degrees of freedom as there are used latents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from explaind.explanations import chi_square
from explaind.explanations.latent_types import LatentComparison, LatentDifference
from explaind.explanations.models import Encoder
from explaind.explanations.types import DoubleArray, Factor, FloatArray, RankingReference

SMALLEST_DEVIATION = 1e-6
"""Of a latent that is the same in all images of the reference set: any difference in it is then very rare."""


def compare(
    encoder: Encoder, reference: RankingReference, factors: Sequence[Factor], images: FloatArray
) -> LatentComparison:
    """The used factors of two images by falling |z_score|; equals keep the factors' order.

    images: float32 (2, C, H, W) in [0, 1], A then B. factors: cover the space. z_score: of one latent
    (b − a)/(√2·s_d); of several the normal equivalent of their joint chi-square, with the sign of the latent that
    differs most, so that factors of any size sort fairly; unused latents of a factor do not count. distance:
    Euclidean over the used latents in units of s_d. same_p_value: P(distance ≤ this) for two random images; small
    means nearer than random pairs are, near 1 farther. With no used latent there is nothing to compare: distance 0,
    same_p_value 1.
    """
    means = encoder.encode(images)[0]
    scores = _scores(means, reference)
    found = [_difference(factor, means, scores, reference) for factor in factors if _used(factor, reference)]
    squared = float(np.square(scores[reference.used]).sum())
    return LatentComparison(
        differences=tuple(sorted(found, key=lambda difference: abs(difference.z_score), reverse=True)),
        distance=math.sqrt(2 * squared),
        same_p_value=chi_square.lower(squared, int(reference.used.sum())) if reference.used.any() else 1.0,
    )


def _scores(means: FloatArray, reference: RankingReference) -> DoubleArray:
    """means (2, D) → each latent's difference in deviations of a random pair's, (D,)."""
    first, second = means.astype(np.float64)
    return np.asarray((second - first) / (math.sqrt(2) * np.maximum(reference.deviation, SMALLEST_DEVIATION)))


def _used(factor: Factor, reference: RankingReference) -> bool:
    return bool(reference.used[list(factor.dimensions)].any())


def _difference(
    factor: Factor, means: FloatArray, scores: DoubleArray, reference: RankingReference
) -> LatentDifference:
    dimensions = list(factor.dimensions)
    counted = scores[[d for d in dimensions if reference.used[d]]]
    return LatentDifference(
        factor=factor, values_a=means[0, dimensions], values_b=means[1, dimensions], z_score=_joint(counted)
    )


def _joint(scores: DoubleArray) -> float:
    """One z of scores (n,), n ≥ 1, with the sign of the largest."""
    strongest = float(scores[np.argmax(np.abs(scores))])
    return math.copysign(chi_square.normal_equivalent(float(np.square(scores).sum()), len(scores)), strongest)
