"""Conformal p-values: uniform on exchangeable data, false alarms at most the level."""

from __future__ import annotations

import math

import numpy as np
import pytest

from explaind.errors import ParameterOutOfRange
from explaind.explanations.conformal import check_level, p_values, threshold


def test_p_values_are_uniform_on_exchangeable_data() -> None:
    """Each of the n + 1 ranks of a fresh score is equally likely: exact over 20,000 draws to 4 standard errors."""
    random = np.random.default_rng(4)
    draws = np.sort(random.normal(size=(20_000, 19)), axis=1)
    fresh = random.normal(size=20_000)
    p = np.array([p_values(np.array([score]), row)[0] for score, row in zip(fresh, draws, strict=True)])
    counts = np.bincount(np.rint(p * 20).astype(int), minlength=21)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 1000).max() < 4 * math.sqrt(1000)


def test_p_value_counts_scores_at_least_as_high() -> None:
    calibration = np.array([1.0, 2.0, 2.0, 3.0])
    assert p_values(np.array([0.0, 2.0, 2.5, 9.0]), calibration) == pytest.approx([1.0, 0.8, 0.4, 0.2])


@pytest.mark.parametrize("level", [0.05, 0.1, 0.25, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("count", [19, 20, 99])
def test_scores_above_the_threshold_are_those_with_a_low_p_value(level: float, count: int) -> None:
    calibration = np.sort(np.random.default_rng(5).normal(size=count).round(1))  # rounding makes ties
    scores = np.concatenate([calibration, calibration + 0.05, [-9.0, 9.0]])
    assert np.array_equal(scores > threshold(calibration, level), p_values(scores, calibration) <= level + 1e-9)


@pytest.mark.parametrize("level", [0.0, -1.0, 0.0499, 1.01, math.nan, math.inf])
def test_a_level_out_of_range_is_refused_by_name(level: float) -> None:
    with pytest.raises(ParameterOutOfRange, match=r"anomaly_score\.level") as caught:
        check_level(level, np.zeros(19))
    assert caught.value.field == "anomaly_score.level"


def test_the_lowest_level_is_allowed() -> None:
    check_level(1 / 20, np.zeros(19))
    assert threshold(np.arange(19.0), 1 / 20) == 18.0
