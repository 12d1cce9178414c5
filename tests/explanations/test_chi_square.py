from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from explaind.explanations import chi_square

STATISTICS = (0.0, 1e-12, 1e-3, 0.3, 1.0, 2.0, 5.0, 12.0, 12.001, 60.0, 500.0)


@pytest.mark.parametrize("freedom", [1, 2, 3, 10, 34, 101])
def test_both_tails_are_scipys(freedom: int) -> None:
    for statistic in STATISTICS:
        assert chi_square.lower(statistic, freedom) == pytest.approx(stats.chi2.cdf(statistic, freedom), rel=1e-11)
        assert chi_square.upper(statistic, freedom) == pytest.approx(stats.chi2.sf(statistic, freedom), rel=1e-11)


@pytest.mark.parametrize("freedom", [1, 2, 3, 10])
def test_the_normal_equivalent_is_as_rare(freedom: int) -> None:
    for statistic in STATISTICS:
        wanted = stats.norm.isf(stats.chi2.sf(statistic, freedom) / 2)
        assert chi_square.normal_equivalent(statistic, freedom) == pytest.approx(wanted, rel=1e-8, abs=1e-12)


def test_what_is_rarer_than_any_float_stays_finite() -> None:
    assert chi_square.upper(1e6, 5) == 0.0
    assert 37 < chi_square.normal_equivalent(1e6, 5) < 40
    assert chi_square.normal_equivalent(1e6, 1) == 1000.0
    assert chi_square.lower(1e6, 100) == 1.0


def test_near_pairs_keep_their_digits() -> None:
    assert chi_square.lower(1e-3, 100) == pytest.approx(stats.chi2.cdf(1e-3, 100), rel=1e-9)
    assert 0 < chi_square.lower(1e-3, 100) < 1e-200
    rising = [chi_square.lower(x, 7) for x in np.linspace(0, 40, 400)]
    assert rising == sorted(rising)
