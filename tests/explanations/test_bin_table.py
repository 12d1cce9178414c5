"""The bin table: rounding, means, counts, and what is read of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explaind.errors import ShapeMismatch
from explaind.explanations import bin_table, responses
from explaind.explanations.types import FloatArray, ImportanceMeasure, RankingReference

LOGIT = ImportanceMeasure.LOGIT_DEVIATION
PROBABILITY = ImportanceMeasure.PROBABILITY_DEVIATION
VARIANCE = ImportanceMeasure.PROBABILITY_VARIANCE


def test_means_go_to_the_nearest_half_and_tails_to_the_ends() -> None:
    means = np.array([-9.0, -3.0, -0.26, -0.24, 0.0, 0.76, 2.9, 9.0], np.float32)
    assert bin_table.BINS[bin_table.indices(means)].tolist() == [-3.0, -3.0, -0.5, 0.0, 0.0, 1.0, 3.0, 3.0]


def test_every_bin_holds_the_mean_response_of_its_images() -> None:
    generator = np.random.default_rng(2)
    means = generator.standard_normal((400, 3)).astype(np.float32)
    logits = generator.standard_normal((400, 4)).astype(np.float32)
    table = bin_table.build(means, responses.probabilities(logits).astype(np.float32), logits)
    members = bin_table.indices(means)[:, 1] == 7
    assert table.counts[1, 7] == members.sum()
    np.testing.assert_allclose(table.probability[1, 7], responses.probabilities(logits)[members].mean(0), rtol=1e-5)
    np.testing.assert_allclose(table.log_odds[1, 7], responses.log_odds(logits)[members].mean(0), atol=1e-6)
    assert (table.counts.sum(axis=1) == 400).all()
    shares = table.counts[..., None] / 400.0
    overall = (shares * table.probability).sum(axis=1)
    np.testing.assert_allclose(overall, np.tile(table.mean_probability, (3, 1)), rtol=1e-5)


def test_an_empty_bin_holds_zero() -> None:
    table = bin_table.build(np.zeros((5, 1), np.float32), np.full((5, 2), 0.5, np.float32), np.ones((5, 2), np.float32))
    assert table.counts[0].tolist() == [0] * 6 + [5] + [0] * 6
    assert (table.probability[0, table.counts[0] == 0] == 0.0).all()


@pytest.mark.parametrize("rows", [(0, 0, 0), (3, 2, 3), (3, 3, 4)])
def test_rows_that_disagree_are_refused(rows: tuple[int, int, int]) -> None:
    means, chances, logits = (np.zeros((count, 2), np.float32) for count in rows)
    with pytest.raises(ShapeMismatch, match="one row an image"):
        bin_table.build(means, chances, logits)


@pytest.fixture
def reference(make_world: Callable[..., Any], grid: Callable[[int], FloatArray]) -> RankingReference:
    return make_world(lambda z: z[:, 0], 2).reference(np.repeat(grid(2), 3, axis=0))


def test_the_sources_global_importance_is_the_plain_deviation_over_inner_bins(reference: RankingReference) -> None:
    inner = bin_table.BINS[3:10]
    assert inner.tolist() == [-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5]
    found = bin_table.global_importance(reference, PROBABILITY, 1, weighted=False, minimum_count=1)
    assert found[0] == pytest.approx(np.std(1 / (1 + np.exp(-inner))), rel=1e-5)
    assert found[1] == pytest.approx(0.0, abs=1e-6)


def test_bins_are_weighted_by_count_and_poor_ones_left_out(reference: RankingReference) -> None:
    counts = reference.bin_counts.copy()
    counts[0] = 0
    counts[0, [5, 6, 7]] = [29, 30, 90]
    counted = replace(reference, bin_counts=counts)
    expected = np.std(np.repeat(bin_table.BINS[[6, 7]], [1, 3]))
    assert bin_table.global_importance(counted, LOGIT, 1)[0] == pytest.approx(expected, rel=1e-5)
    assert bin_table.global_importance(counted, LOGIT, 1, minimum_count=91)[0] == 0.0


def test_a_local_reading_is_the_bin_less_the_mean(reference: RankingReference) -> None:
    mean = np.array([2.1, -0.4], np.float32)
    reading = bin_table.local_reading(reference, LOGIT, 1, mean)
    assert reading.importance == pytest.approx([2.0, 0.0], abs=1e-6)
    assert bin_table.local_reading(reference, LOGIT, 0, mean).importance == pytest.approx([-2.0, 0.0], abs=1e-6)
    difference = 1 / (1 + np.exp(-2.0)) - 0.5
    assert bin_table.local_reading(reference, PROBABILITY, 0, mean).importance[0] == pytest.approx(
        -difference, rel=1e-5
    )
    squared = bin_table.local_reading(reference, VARIANCE, 0, mean).importance[0]
    assert squared == pytest.approx(-(difference**2), rel=1e-5)


def test_an_empty_bin_reads_as_zero(reference: RankingReference) -> None:
    counts = reference.bin_counts.copy()
    counts[0, -1] = 0
    reading = bin_table.local_reading(replace(reference, bin_counts=counts), LOGIT, 1, np.array([3.0, 0.0], np.float32))
    assert reading.importance[0] == 0.0
    assert reading.counts.tolist() == [0, 39]


def test_directions_follow_the_table(reference: RankingReference) -> None:
    assert bin_table.directions(reference, LOGIT, 1).tolist() == [1.0, 0.0]
    assert bin_table.directions(reference, PROBABILITY, 0).tolist() == [-1.0, 0.0]
