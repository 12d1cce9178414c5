"""Responses read off logits, their spread and direction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from explaind.explanations import responses
from explaind.explanations.types import ImportanceMeasure

LOGIT = ImportanceMeasure.LOGIT_DEVIATION
PROBABILITY = ImportanceMeasure.PROBABILITY_DEVIATION
VARIANCE = ImportanceMeasure.PROBABILITY_VARIANCE


def _log_odds_by_definition(logits: np.ndarray) -> np.ndarray:
    others = [np.delete(logits, k, axis=-1) for k in range(logits.shape[-1])]
    return logits - np.stack([logsumexp(rest, axis=-1) for rest in others], axis=-1)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0, 1e4])
def test_log_odds_are_the_logit_less_the_others(classes: int, scale: float) -> None:
    logits = (scale * np.random.default_rng(classes).standard_normal((4, 5, classes))).astype(np.float32)
    expected = _log_odds_by_definition(logits.astype(np.float64))
    np.testing.assert_allclose(responses.log_odds(logits), expected, rtol=1e-12, atol=1e-9)


def test_log_odds_move_where_the_probability_has_saturated() -> None:
    logits = np.array([[0.0, 50.0], [0.0, 60.0]], np.float32)
    assert np.ptp(responses.of_class(logits, PROBABILITY, 1)) == 0.0
    assert responses.of_class(logits, LOGIT, 1).tolist() == [50.0, 60.0]


def test_spread_is_the_population_deviation_and_variance_its_square() -> None:
    curve = np.array([[0.1, 0.4, 0.4, 0.9], [0.3, 0.3, 0.3, 0.3]])
    np.testing.assert_allclose(responses.spread(curve, LOGIT), curve.std(axis=1), atol=1e-15)
    np.testing.assert_allclose(responses.spread(curve, VARIANCE), curve.var(axis=1), atol=1e-15)


def test_a_constant_response_has_a_spread_of_exactly_zero() -> None:
    assert responses.spread(np.full((1, 7), 0.1), LOGIT)[0] == 0.0


def test_weights_count_a_response_so_many_times() -> None:
    curve, counts = np.array([[0.2, 0.5, 0.9]]), np.array([[3, 0, 1]], np.int32)
    assert responses.spread(curve, LOGIT, counts)[0] == pytest.approx(np.std([0.2, 0.2, 0.2, 0.9]))
    assert responses.spread(curve, LOGIT, 0 * counts)[0] == 0.0


def test_the_deviation_of_a_probability_is_at_most_a_half() -> None:
    curve = np.repeat([0.0, 1.0], 5)[None]
    assert responses.spread(curve, PROBABILITY)[0] == 0.5
    assert responses.spread(curve, VARIANCE)[0] == 0.25


@pytest.mark.parametrize(
    ("response", "direction"),
    [([0.1, 0.2, 0.7], 1.0), ([0.7, 0.2, 0.1], -1.0), ([0.9, 0.1, 0.9], 0.0), ([0.4, 0.4, 0.4], 0.0)],
)
def test_direction_is_the_sign_of_the_correlation(response: list[float], direction: float) -> None:
    assert responses.directions(np.array([-1.0, 0.0, 1.0]), np.array([response]))[0] == direction
