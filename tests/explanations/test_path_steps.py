"""What gradients at some of a path's steps say of the others, and how much of a gain the asked steps have."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.morph_path import PathPoints
from explaind.explanations.path_steps import PathSteps, StepSlopes, _product
from explaind.explanations.types import DoubleArray

DIRECTION = np.array([[0.5, -1.0], [2.0, 0.25]])


def _points(log_odds: DoubleArray, drawn: np.ndarray | None = None) -> PathPoints:
    """Images along one direction, the further the greater the log-odds, which so have one and the same gradient."""
    logits = np.stack([log_odds, np.zeros_like(log_odds)], axis=1)
    images = (log_odds[:, None, None, None] * DIRECTION).astype(np.float32)
    return PathPoints(np.linspace(0, 1, len(log_odds)), images, logits, drawn)


def _slack(log_odds: DoubleArray) -> DoubleArray:
    chance = 1.0 / (1.0 + np.exp(-log_odds))
    return np.asarray(chance * (1.0 - chance))


ODDS = 40.0 * (np.linspace(0.0, 1.0, 100) - 0.41)


def _half_way(steps: PathSteps) -> StepSlopes:
    """∇p_s of log-odds with the gradient DIRECTION everywhere."""
    sloped = steps.choice.sloped
    slack = steps.middle_slack[:sloped]
    return StepSlopes((slack[:, None, None, None] * DIRECTION).astype(np.float32), slack)


def test_where_the_log_odds_have_one_gradient_a_few_say_what_all_do() -> None:
    points = _points(ODDS)
    every, few = PathSteps.every(points, 0), PathSteps.sparing(points, 0)
    assert few.choice.sloped < 0.5 * every.choice.sloped
    whole, spared = (
        (slopes.values * steps.moves_of(slopes, steps.middle_slack)).sum(axis=0)
        for steps, slopes in ((each, _half_way(each)) for each in (every, few))
    )
    np.testing.assert_allclose(spared, whole, rtol=2e-3)


def test_half_way_of_a_step_the_slack_is_that_of_the_log_odds_there() -> None:
    steps = PathSteps.sparing(_points(ODDS), 0)
    np.testing.assert_allclose(
        steps.middle_slack, _slack(0.5 * (ODDS[steps.choice.asked] + ODDS[steps.choice.asked + 1]))
    )


def test_each_asked_step_has_its_own_images_and_probabilities() -> None:
    points = _points(ODDS)
    steps, p = PathSteps.sparing(points, 0), points.probabilities(0)
    asked = steps.choice.asked
    np.testing.assert_array_equal(steps.starts, points.images[asked])
    np.testing.assert_array_equal(steps.moves, points.images[asked + 1] - points.images[asked])
    np.testing.assert_array_equal(steps.before, p[asked])
    np.testing.assert_array_equal(steps.rises, p[asked + 1] - p[asked])
    assert steps.change == p[-1] - p[0]


@pytest.mark.parametrize(("count", "each"), [(4, True), (100, False)])
def test_slopes_of_another_image_of_a_step_count_by_the_slack_there(count: int, each: bool) -> None:
    """Twice the slack at the wanted images, twice the rise. each: every step has its own gradient."""
    steps = PathSteps.sparing(_points(np.linspace(-3.0, 9.0, count)), 0)
    slopes = _half_way(steps)
    assert (steps.choice.spread is None) == each
    once, twice = (steps.moves_of(slopes, times * steps.middle_slack) for times in (1.0, 2.0))
    np.testing.assert_allclose(twice, 2.0 * once, rtol=1e-5)


def test_every_step_by_its_own_gradient_is_its_own_move() -> None:
    steps = PathSteps.every(_points(np.array([-800.0, 0.0, 800.0, 800.0])), 0)
    slopes = _half_way(steps)
    assert steps.moves_of(slopes, slopes.slack) is steps.moves


def test_slack_that_vanishes_is_no_division_by_zero() -> None:
    steps = PathSteps.sparing(_points(np.array([-900.0, -800.0, 800.0, 900.0])), 0)
    slopes = StepSlopes(np.zeros((steps.choice.sloped, 1, 2, 2), np.float32), np.zeros(steps.choice.sloped))
    moves = steps.moves_of(slopes, np.full(len(steps.rises), 0.25))
    assert np.isfinite(slopes.values * moves).all()


def test_all_gains_are_the_whole_change_and_none_are_none() -> None:
    steps = PathSteps.sparing(_points(ODDS), 0)
    assert steps.gain(steps.rises) == pytest.approx(steps.change)
    assert steps.gain(np.zeros(len(steps.rises))) == 0.0


def test_the_first_slopes_can_be_replaced() -> None:
    slopes = StepSlopes(np.arange(12, dtype=np.float32).reshape(3, 1, 2, 2), np.array([0.1, 0.2, 0.3]))
    replaced = slopes.with_first(-np.ones((2, 1, 2, 2), np.float32), np.array([0.01, 0.02]))
    assert replaced.values[:2].tolist() == (-np.ones((2, 1, 2, 2))).tolist()
    np.testing.assert_array_equal(replaced.values[2:], slopes.values[2:])
    assert replaced.slack.tolist() == [0.01, 0.02, 0.3]


@pytest.mark.parametrize("shape", [(25, 50, 784), (400, 600, 3), (1, 1, 1), (3, 5, 49_152)])
def test_a_product_in_pieces_is_the_product(shape: tuple[int, int, int]) -> None:
    random = np.random.default_rng(51)
    first, second = random.random(shape[:2]).astype(np.float32), random.random(shape[1:]).astype(np.float32)
    np.testing.assert_allclose(_product(first, second), first @ second, rtol=1e-5)
