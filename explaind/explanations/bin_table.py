"""ORIGINAL_IMAGES (DESIGN §3.1, [LR]): the classifier's mean response to real images, binned by each latent's mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.errors import ShapeMismatch
from explaind.explanations import responses
from explaind.explanations.types import (
    DoubleArray,
    FloatArray,
    ImportanceMeasure,
    IntArray,
    RankingReference,
)

BINS: DoubleArray = np.linspace(-3.0, 3.0, 13)
# The source leaves out the tails, |value| ≥ 2.
INNER = np.abs(BINS) < 2.0
MINIMUM_COUNT = 30


@dataclass(frozen=True, slots=True)
class BinTable:
    """counts (D, 13); probability, log_odds (D, 13, K): mean response of a bin's images, 0 where it is empty;
    mean_probability, mean_log_odds (K,): over all images."""

    counts: IntArray
    probability: FloatArray
    log_odds: FloatArray
    mean_probability: DoubleArray
    mean_log_odds: DoubleArray


@dataclass(frozen=True, slots=True)
class LocalReading:
    """importance (D,): response in this image's bin less the mean, 0 in an empty bin. counts (D,): images in it."""

    importance: DoubleArray
    counts: IntArray


def indices(means: FloatArray) -> IntArray:
    """Position in BINS of the multiple of 0.5 nearest to each mean, clipped to [−3, 3]; any shape."""
    nearest = np.rint(np.clip(means.astype(np.float64), -3.0, 3.0) * 2.0)
    return (nearest + 6.0).astype(np.int32)


def build(means: FloatArray, probabilities: FloatArray, logits: FloatArray) -> BinTable:
    """The table of a reference set: means (N, D), probabilities and logits (N, K).

    ShapeMismatch where the three disagree on N or there are no images.
    """
    if len(means) == 0 or not len(means) == len(probabilities) == len(logits):
        lengths = f"{len(means)} means, {len(probabilities)} probabilities, {len(logits)} logits"
        raise ShapeMismatch(f"A bin table needs one row an image, at least one; got {lengths}.", field="means")
    odds = responses.log_odds(logits)
    both = np.concatenate([probabilities.astype(np.float64), odds], axis=1)
    members = indices(means)
    counts = np.stack([np.bincount(column, minlength=len(BINS)) for column in members.T]).astype(np.int32)
    averages = np.stack([_bin_means(column, both) for column in members.T]).astype(np.float32)
    classes = logits.shape[1]
    return BinTable(
        counts=counts,
        probability=np.ascontiguousarray(averages[..., :classes]),
        log_odds=np.ascontiguousarray(averages[..., classes:]),
        mean_probability=both[:, :classes].mean(axis=0),
        mean_log_odds=both[:, classes:].mean(axis=0),
    )


def _bin_means(members: IntArray, values: DoubleArray) -> DoubleArray:
    """members (N,), values (N, V) → mean of each bin's rows (13, V), 0 where there are none."""
    belongs = (members[None] == np.arange(len(BINS))[:, None]).astype(np.float64)
    return np.asarray(belongs @ values / np.maximum(belongs.sum(axis=1, keepdims=True), 1.0))


def global_importance(
    reference: RankingReference,
    measure: ImportanceMeasure,
    target: int,
    *,
    weighted: bool = True,
    minimum_count: int = MINIMUM_COUNT,
) -> DoubleArray:
    """Spread of the target's bin responses over bins in (−2, 2) with at least `minimum_count` images: (D,).

    weighted=False, minimum_count=1 is the source's. 0 where no bin qualifies.
    """
    counted = counting_bins(reference.bin_counts, minimum_count)
    weights = np.where(counted, reference.bin_counts if weighted else 1, 0)
    return responses.spread(_table(reference, measure)[..., target], measure, weights)


def counting_bins(counts: IntArray, minimum_count: int = MINIMUM_COUNT) -> IntArray:
    """counts (D, 13) → 1 where a bin takes part in the global importance, else 0."""
    return (INNER & (counts >= minimum_count)).astype(np.int32)


def local_reading(
    reference: RankingReference, measure: ImportanceMeasure, target: int, mean: FloatArray
) -> LocalReading:
    """The table read at this image's bins; mean (D,). For PROBABILITY_VARIANCE the signed square of the difference."""
    latents = np.arange(len(mean))
    bins = indices(mean)
    counts = reference.bin_counts[latents, bins]
    overall = reference.mean_logit if measure is ImportanceMeasure.LOGIT_DEVIATION else reference.mean_probability
    found = _table(reference, measure)[latents, bins, target].astype(np.float64)
    difference = np.where(counts > 0, found - overall[target], 0.0)
    if measure is ImportanceMeasure.PROBABILITY_VARIANCE:
        difference = np.sign(difference) * np.square(difference)
    return LocalReading(importance=difference, counts=counts)


def directions(reference: RankingReference, measure: ImportanceMeasure, target: int) -> DoubleArray:
    """Sign of the correlation over all populated bins, weighted by count: (D,) of +1, 0, −1."""
    table = _table(reference, measure)[..., target]
    return responses.directions(np.broadcast_to(BINS, table.shape), table, reference.bin_counts)


def _table(reference: RankingReference, measure: ImportanceMeasure) -> FloatArray:
    return reference.bin_logit if measure is ImportanceMeasure.LOGIT_DEVIATION else reference.bin_probability
