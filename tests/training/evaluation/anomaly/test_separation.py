"""Rates and areas, against counts made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.types import DoubleArray
from explaind.training.evaluation.anomaly.measured import _false_alarms
from explaind.training.evaluation.anomaly.scored import Verdicts
from explaind.training.evaluation.anomaly.separation import (
    Interval,
    areas,
    auroc,
    roc,
    separation,
    share,
    share_of_groups,
    two_sided,
)


def _verdicts(*scores: float) -> Verdicts:
    """Anomalous above 2."""
    values: DoubleArray = np.array(scores)
    return Verdicts(values, np.asarray(1 / (1 + values)), values > 2)


def test_auroc_is_the_share_of_pairs_in_the_right_order() -> None:
    inside, outside = np.array([1.0, 2.0, 3.0]), np.array([2.5, 4.0, 3.0])
    pairs = [(o > i) + 0.5 * (o == i) for i in inside for o in outside]
    assert auroc(inside, outside) == pytest.approx(np.mean(pairs))
    assert two_sided(0.2) == two_sided(0.8) == 0.8
    assert areas({"a": inside, "b": outside}, {"a": outside, "b": inside}) == {
        "a": pytest.approx(np.mean(pairs)),
        "b": pytest.approx(1 - np.mean(pairs)),
    }


def test_a_clean_separation() -> None:
    figures = separation(_verdicts(0.5, 1.0, 1.5, 1.8), _verdicts(3.0, 4.0))
    assert figures["auroc"] == figures["average_precision"] == figures["average_precision_members"] == 1
    assert figures["base_rate"] == pytest.approx(1 / 3)
    assert figures["fpr_at_95_tpr"] == 0
    assert figures["flagged"] == 1


def test_average_precision_by_hand() -> None:
    """From the strangest: outlier, member, outlier, member. Precision at the outliers 1 and 2/3; the other way
    round, from the most usual: member, outlier, member, outlier."""
    figures = separation(_verdicts(3.0, 1.0), _verdicts(4.0, 2.0))
    assert figures["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["average_precision_members"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["flagged"] == 0.5
    figures = separation(_verdicts(3.0, 1.0, 0.5), _verdicts(4.0, 2.0))
    assert figures["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    assert figures["average_precision_members"] == pytest.approx((1 + 1 + 3 / 4) / 3)


def test_false_positives_where_most_outliers_are_found() -> None:
    inside, outside = np.arange(100.0), np.linspace(90, 190, 101)
    assert separation(_verdicts(*inside), _verdicts(*outside))["fpr_at_95_tpr"] == pytest.approx(0.05)


def test_a_curve_starts_with_no_false_alarm_and_ends_with_all() -> None:
    false, true = roc(np.array([1.0, 2.0]), np.array([2.0, 3.0]))
    assert (false[0], true[0]) == (0, 0)
    assert (false[-1], true[-1]) == (1, 1)
    assert (np.diff(false) >= 0).all()


def test_the_interval_is_the_exact_one() -> None:
    """Of 0 in 20 the upper limit is 1 − 0.025^(1/20), the rule that gave «the rule of three»."""
    none = share(np.zeros(20, bool))
    assert (none.rate, none.low) == (0, 0)
    assert none.high == pytest.approx(1 - 0.025 ** (1 / 20))
    half = share(np.arange(40) % 2 == 0)
    assert half.low < 0.5 < half.high
    assert half.rate == 0.5


def test_images_of_one_group_count_as_one() -> None:
    """Ten groups of ten alike: as uncertain as ten images, not as a hundred."""
    groups = np.repeat(np.arange(10), 10)
    alike = share_of_groups(groups < 2, groups)
    each = share_of_groups(groups < 2, np.arange(100))
    assert alike.rate == each.rate == 0.2
    assert alike.high - alike.low > 2 * (each.high - each.low)
    assert alike.low < 0.2 < alike.high
    exact = share(groups < 2)
    assert each.high - each.low == pytest.approx(exact.high - exact.low, abs=0.03)


def test_an_independent_uncertainty_widens_an_interval_in_quadrature() -> None:
    alone = Interval(0.05, 0.02, 0.09)
    wider = alone.widened(0.03)
    assert (wider.rate, wider.low, wider.high) == pytest.approx((0.05, 0.05 - 0.03 * 2**0.5, 0.10))
    assert alone.widened(0.0) == alone


@pytest.mark.parametrize("groups", [None, np.arange(100) // 5])
def test_false_alarms_count_that_the_calibration_images_are_a_sample(groups: np.ndarray | None) -> None:
    anomalous = np.arange(100) % 10 == 0
    alone = share(anomalous) if groups is None else share_of_groups(anomalous, groups)
    few, many = (_false_alarms(anomalous, groups, 0.05, count)["false_alarm_interval"] for count in (100, 10**9))
    assert few[0] < alone.low and alone.high < few[1]
    if groups is None:
        assert many == pytest.approx([alone.low, alone.high])
