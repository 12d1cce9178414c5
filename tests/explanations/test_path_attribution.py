"""Completeness of the integrated gradient along a path, and how segments are halved to reach it."""

from __future__ import annotations

import time

import numpy as np
import pytest

from explaind.errors import Cancelled
from explaind.explanations import sparse_path
from explaind.explanations.budget import Budget
from explaind.explanations.models import MorphingModels
from explaind.explanations.path_attribution import (
    MOST_SEGMENTS,
    PathAttribution,
    _to_halve,
    integrate,
)
from explaind.explanations.path_steps import PathSteps
from explaind.explanations.types import Interpolation
from tests.explanations.morphing_models import TemplateClassifier, code_of, template_models
from tests.explanations.paths import ends, gradient_of, path_of, pixel_models


def _integrate(
    models: MorphingModels, first: np.ndarray, last: np.ndarray, budget: Budget | None = None, count: int = 100
) -> tuple[PathAttribution, float]:
    path, points = path_of(models, ends(first, last), Interpolation.LINEAR, count)
    budget = budget or Budget()
    steps = PathSteps.sparing(points, 0)
    return integrate(gradient_of(models, points, 0, budget), path, points, steps, 0, budget), steps.change


def _step(steepness: float) -> tuple[MorphingModels, np.ndarray, np.ndarray]:
    """Two classes that part at a point between two of the path, the more sharply the steeper."""
    templates = np.zeros((2, 16))
    templates[0, 0], templates[1, 0] = steepness, -steepness
    first, last = np.full(16, 0.31), np.full(16, 0.73)
    return pixel_models(TemplateClassifier(templates), 4, 4), first, last


@pytest.mark.parametrize("steepness", [0.5, 5.0, 50.0, 400.0])
@pytest.mark.parametrize("count", [10, 100, 400])
def test_the_gap_is_what_the_attribution_misses_of_the_change_of_probability(steepness: float, count: int) -> None:
    models, first, last = _step(steepness)
    result, change = _integrate(models, first, last, count=count)
    assert result.gap == pytest.approx(abs(result.values.sum() - change), abs=1e-6)
    assert result.gap <= 0.01


def test_a_gentle_path_needs_no_gradient_for_each_step_and_one_that_jumps_more_than_its_steps() -> None:
    gentle, _ = _integrate(*_step(0.5))
    steep, _ = _integrate(*_step(4000.0))
    assert gentle.segments <= 60
    assert len(steep.slopes.values) < 5 < 20 < steep.segments <= MOST_SEGMENTS + 8


def test_only_the_pixel_that_decides_is_attributed() -> None:
    result, change = _integrate(*_step(5.0))
    assert result.values[0, 0, 0] == pytest.approx(change, abs=0.01)
    assert np.abs(result.values.reshape(-1)[1:]).max() == 0.0


@pytest.mark.parametrize("count", [2, 3, 24, 25, 26, 1000])
def test_any_number_of_steps_will_do(count: int) -> None:
    result, _ = _integrate(*_step(5.0), count=count)
    assert result.gap <= 0.01


def test_a_jump_that_cannot_be_resolved_leaves_its_gap_open() -> None:
    """No rescaling: a step narrower than any node sees is returned as missing."""
    result, change = _integrate(*_step(1e9))
    assert abs(change) == pytest.approx(1.0)
    assert result.gap > 0.5
    assert result.segments >= MOST_SEGMENTS


def test_a_near_deadline_stops_the_halving() -> None:
    steep = _step(4000.0)
    result, _ = _integrate(*steep, budget=Budget(deadline=time.monotonic() - 1))
    assert result.segments < _integrate(*steep)[0].segments
    assert result.gap > 0.01


def test_cancellation_is_seen_before_the_gradient() -> None:
    budget = Budget()
    budget.cancel()
    with pytest.raises(Cancelled):
        _integrate(*_step(5.0), budget=budget)


def test_a_decoded_path_is_complete_too() -> None:
    result, change = _integrate(template_models(), code_of(1), code_of(0))
    assert change > 0.9
    assert result.gap <= 0.01


def test_a_sparse_path_is_attributed_like_the_whole_one() -> None:
    path, whole = path_of(template_models(), ends(code_of(1), code_of(0)), Interpolation.SLERP)
    sparse = sparse_path.points(path, 100, (0, 1))
    assert sparse.drawn is not None and not sparse.drawn.all()
    gradient = gradient_of(template_models(), whole, 0)
    spared, exact = (
        integrate(gradient, path, points, PathSteps.sparing(points, 0), 0, Budget()) for points in (sparse, whole)
    )
    assert np.abs(spared.values - exact.values).max() < 1e-3 * np.abs(exact.values).max()
    assert spared.gap <= 0.01


def test_few_gradients_attribute_like_one_for_each_step() -> None:
    path, points = path_of(template_models(), ends(code_of(1), code_of(0)), Interpolation.SLERP)
    gradient = gradient_of(template_models(), points, 0)
    few, all_ = (
        integrate(gradient, path, points, steps, 0, Budget())
        for steps in (PathSteps.sparing(points, 0), PathSteps.every(points, 0))
    )
    assert few.segments < 0.6 * all_.segments
    assert np.abs(few.values - all_.values).max() < 0.01 * np.abs(all_.values).max()


def test_slopes_are_those_half_way_whatever_was_halved() -> None:
    models, first, last = _step(400.0)
    path, points = path_of(models, ends(first, last))
    steps = PathSteps.sparing(points, 0)
    result = integrate(gradient_of(models, points, 0), path, points, steps, 0, Budget())
    asked = steps.choice.asked[: steps.choice.sloped]
    assert result.segments > len(asked)
    middles = 0.5 * (points.images[asked] + points.images[asked + 1])
    values, probabilities = gradient_of(models, points, 0)(middles)
    np.testing.assert_allclose(result.slopes.values, values, rtol=1e-5, atol=1e-7)
    chance = probabilities[:, 0]
    np.testing.assert_allclose(result.slopes.slack, chance * (1 - chance), rtol=1e-5, atol=1e-9)


def test_steps_whose_neighbours_mislead_have_gradients_of_their_own() -> None:
    """The log-odds turn twice between two gradients: what those say of the steps between misses too much."""

    class Zigzag(TemplateClassifier):
        """Of one pixel; its log-odds climb, but for a dip where p_s hardly moves."""

        def __init__(self) -> None: ...

        def logits(self, images: np.ndarray) -> np.ndarray:
            return self._odds(images)[0]

        def probability_gradient(self, images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            logits, slopes = self._odds(images)
            p = 1.0 / (1.0 + np.exp(-logits[:, 0].astype(np.float64)))
            gradient = np.zeros_like(images)
            gradient.reshape(len(images), -1)[:, 0] = p * (1 - p) * slopes
            return gradient, np.stack([p, 1 - p], axis=1).astype(np.float32)

        def _odds(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            t = images.reshape(len(images), -1)[:, 0].astype(np.float64)
            odds = -4.5 + 0.9 * np.sin(2 * np.pi * 99 / 4 * t) * (t < 0.8) + np.where(t > 0.8, 60 * (t - 0.8), 0.0)
            slopes = np.where(t < 0.8, 0.9 * 2 * np.pi * 99 / 4 * np.cos(2 * np.pi * 99 / 4 * t), 60.0)
            return np.stack([odds, np.zeros_like(odds)], axis=1).astype(np.float32), slopes

    models = pixel_models(Zigzag(), 4, 4)
    path, points = path_of(models, ends(np.zeros(16), np.ones(16)))
    steps = PathSteps.sparing(points, 0)
    assert steps.choice.sloped < len(steps.rises)
    result = integrate(gradient_of(models, points, 0), path, points, steps, 0, Budget())
    assert result.gap <= 0.01
    assert result.gap == pytest.approx(abs(result.values.sum() - steps.change), abs=1e-6)
    assert result.segments >= len(steps.rises)


@pytest.mark.parametrize(
    ("errors", "halved"),
    [
        ([0.019, 0.001, -0.001], [0]),  # leaves 0.019 − 0.75·0.019
        ([0.012, 0.012, -0.005, 0.001], [0, 1]),  # none that errs the other way
        ([-0.02, 0.001, -0.03], [0, 2]),
        ([0.5] * 20, list(range(8))),  # no more than eight a round
    ],
)
def test_as_few_segments_are_halved_as_should_do(errors: list[float], halved: list[int]) -> None:
    assert sorted(_to_halve(np.array(errors)).tolist()) == halved
