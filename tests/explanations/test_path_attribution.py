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
    PathGradient,
    _to_halve,
    integrate,
)
from explaind.explanations.path_segments import FIRST_SEGMENTS
from explaind.explanations.types import Interpolation
from tests.explanations.morphing_models import TemplateClassifier, code_of, template_models
from tests.explanations.paths import ends, path_of, pixel_models


def _integrate(
    models: MorphingModels, first: np.ndarray, last: np.ndarray, budget: Budget | None = None, count: int = 100
) -> tuple[PathAttribution, float]:
    path, points = path_of(models, ends(first, last), Interpolation.LINEAR, count)
    budget = budget or Budget()
    gradient = PathGradient(models.classifier_gradient, 0, points.logits.shape[1], budget)
    p = points.probabilities(0)
    return integrate(gradient, path, points, 0, budget), float(p[-1] - p[0])


def _step(steepness: float) -> tuple[MorphingModels, np.ndarray, np.ndarray]:
    """Two classes that part at a point off the grid of first segments, the more sharply the steeper."""
    templates = np.zeros((2, 16))
    templates[0, 0], templates[1, 0] = steepness, -steepness
    first, last = np.full(16, 0.31), np.full(16, 0.73)
    return pixel_models(TemplateClassifier(templates), 4, 4), first, last


@pytest.mark.parametrize(("steepness", "not_asked"), [(0.5, 0.0), (5.0, 0.0), (50.0, 2e-4), (400.0, 0.0)])
def test_the_attribution_adds_up_to_the_change_of_probability(steepness: float, not_asked: float) -> None:
    """not_asked: what p_s changes where no gradient is asked for; all of it counts as missed."""
    models, first, last = _step(steepness)
    result, change = _integrate(models, first, last)
    missed = abs(result.values.sum() - change)
    assert missed - 1e-5 <= result.gap <= missed + not_asked + 1e-5
    assert result.gap <= 0.01


def test_a_gentle_path_needs_fewer_segments_than_one_that_jumps() -> None:
    gentle, _ = _integrate(*_step(0.5))
    steep, _ = _integrate(*_step(4000.0))
    assert gentle.segments <= FIRST_SEGMENTS
    assert gentle.segments < steep.segments <= MOST_SEGMENTS + 8


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
    gradient = PathGradient(template_models().classifier_gradient, 0, whole.logits.shape[1], Budget())
    spared, exact = (integrate(gradient, path, points, 0, Budget()) for points in (sparse, whole))
    assert np.abs(spared.values - exact.values).max() < 1e-3 * np.abs(exact.values).max()
    assert spared.gap <= 0.01


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
