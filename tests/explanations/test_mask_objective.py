"""J, its gradient and its certificate against finite differences and brute force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explaind.explanations.blur import Blur
from explaind.explanations.budget import Budget
from explaind.explanations.mask_objective import MaskObjective
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_path import PathPoints
from explaind.explanations.path_attribution import integrate
from explaind.explanations.path_steps import PathSteps, StepSlopes
from explaind.explanations.types import Interpolation
from tests.explanations.morphing_models import SIDE, AffineClassifier, TemplateClassifier, code_of, template_models
from tests.explanations.paths import ends, gradient_of, objective_of, path_of, pixel_models


def _nonlinear(sparsity: float = 1.0) -> MaskObjective:
    models = template_models()
    _, points = path_of(models, ends(code_of(1), code_of(0)), Interpolation.SLERP)
    return objective_of(models, points, 0, sparsity)


def test_the_objective_is_its_definition_written_out() -> None:
    models = template_models()
    _, points = path_of(models, ends(code_of(1), code_of(0)), Interpolation.SLERP, 20)
    mask = np.random.default_rng(37).random((SIDE, SIDE))
    blurred = Blur(SIDE, SIDE).apply(mask)

    def p(image: np.ndarray) -> float:
        logits = models.classifier.logits(image[None].astype(np.float32))[0].astype(np.float64)
        return float(np.exp(logits[0]) / np.exp(logits).sum())

    x = points.images
    gains = [p(x[i] + blurred * (x[i + 1] - x[i])) - p(x[i]) for i in range(19)]
    expected = sum(gains) / (p(x[-1]) - p(x[0])) - 0.7 * blurred.mean()
    assert objective_of(models, points, 0, 0.7).evaluate(mask).objective == pytest.approx(expected, abs=1e-5)


def test_the_slope_matches_finite_differences() -> None:
    objective, random = _nonlinear(), np.random.default_rng(38)
    mask = random.uniform(0.2, 0.8, (SIDE, SIDE))
    slope = objective.evaluate(mask).slope
    for _ in range(5):
        direction = random.normal(size=mask.shape)
        up, down = (objective.evaluate(mask + sign * 0.01 * direction).objective for sign in (1, -1))
        assert (up - down) / 0.02 == pytest.approx(float(np.sum(slope * direction)), abs=2e-3)


def test_a_full_mask_gains_everything_and_an_empty_one_nothing() -> None:
    objective = _nonlinear(sparsity=0.0)
    assert objective.evaluate(np.zeros((SIDE, SIDE))).objective == pytest.approx(0.0, abs=1e-6)
    assert objective.evaluate(np.ones((SIDE, SIDE))).objective > 0.8  # the blur leaves the border out


def test_the_gap_is_the_best_improvement_by_brute_force_where_the_objective_is_linear() -> None:
    """All 4096 corner masks of a 4×3 image: for a linear J the gap is exactly what the best of them gains."""
    random = np.random.default_rng(39)
    models = pixel_models(AffineClassifier(random.normal(size=12) * 0.05), 4, 3)
    _, points = path_of(models, ends(random.random(12), random.random(12)), Interpolation.LINEAR, 6)
    objective = objective_of(models, points, 0)
    state = objective.evaluate(random.random((4, 3)))
    corners = ((np.arange(4096)[:, None] >> np.arange(12)) & 1).reshape(-1, 4, 3).astype(np.float64)
    gains = np.einsum("nhw,hw->n", corners - state.mask, state.slope)
    assert state.gap == pytest.approx(gains.max())
    best = objective.evaluate(corners[gains.argmax()])
    assert best.objective - state.objective == pytest.approx(state.gap, abs=1e-4)
    assert best.gap == pytest.approx(0.0, abs=1e-6)


def test_the_gap_bounds_the_improvement_along_any_direction() -> None:
    objective, random = _nonlinear(), np.random.default_rng(40)
    state = objective.evaluate(random.random((SIDE, SIDE)))
    for _ in range(20):
        corner = (random.random((SIDE, SIDE)) < random.random()).astype(np.float64)
        moved = objective.evaluate(state.mask + 0.01 * (corner - state.mask))
        assert (moved.objective - state.objective) / 0.01 <= state.gap + 5e-3
    assert state.gap >= 0.0


MASKS = (np.zeros((SIDE, SIDE)), np.random.default_rng(42).random((SIDE, SIDE)), np.ones((SIDE, SIDE)))


@pytest.mark.parametrize("count", [2, 3, 20, 100, 400])
def test_a_sparing_objective_is_the_whole_one_for_less(count: int) -> None:
    models, points, counted = _counted(count)
    whole, sparing = (
        objective_of(models, points, 0),
        objective_of(counted, points, 0, steps=PathSteps.sparing(points, 0)),
    )
    for mask in MASKS:
        counted.classifier.rows = counted.classifier_gradient.rows = 0
        exact, near = whole.evaluate(mask), sparing.evaluate(mask)
        assert near.objective == pytest.approx(exact.objective, abs=2e-4)
        assert near.gap == pytest.approx(exact.gap, abs=2e-3)
        assert counted.classifier.rows + counted.classifier_gradient.rows <= count - 1
    if count == 100:
        assert counted.classifier_gradient.rows < 0.8 * (count - 1)


@pytest.mark.parametrize("count", [10, 100, 400])
def test_what_the_integral_knows_spares_a_certificate_gradients(count: int) -> None:
    """J is the same to the bit, and the gap is what it is with a gradient at each sloped step's masked image."""
    models, points, counted = _counted(count)
    steps = PathSteps.sparing(points, 0)
    objective = objective_of(counted, points, 0, steps=steps)
    path = path_of(models, ends(code_of(1), code_of(0)), Interpolation.SLERP, count)[0]
    known = integrate(gradient_of(models, points, 0), path, points, steps, 0, Budget()).slopes
    for mask in MASKS:
        anew = objective.evaluate(mask)
        counted.classifier_gradient.rows = 0
        near = objective.evaluate(mask, known)
        assert counted.classifier_gradient.rows == steps.choice.steep <= steps.choice.sloped
        assert near.objective == pytest.approx(anew.objective, abs=1e-6)
        assert near.gap == pytest.approx(anew.gap, abs=2e-3)
    if count >= 100:
        assert 0 < steps.choice.steep < steps.choice.sloped


def test_gradients_of_elsewhere_are_not_taken_for_those_of_the_path() -> None:
    """A certificate of known slopes that are wrong is another one, but for the steep steps."""
    models, points, _ = _counted(100)
    steps, objective = PathSteps.sparing(points, 0), objective_of(models, points, 0, steps=PathSteps.sparing(points, 0))
    path = path_of(models, ends(code_of(1), code_of(0)), Interpolation.SLERP)[0]
    known = integrate(gradient_of(models, points, 0), path, points, steps, 0, Budget()).slopes
    wrong = StepSlopes(10.0 * known.values, known.slack)
    steep = steps.choice.steep
    mixed = StepSlopes(np.concatenate([10.0 * known.values[:steep], known.values[steep:]]), known.slack)
    right, off, same = (objective.evaluate(MASKS[1], each).slope for each in (known, wrong, mixed))
    assert np.abs(off - right).max() > 0.05 * np.abs(right).max()
    np.testing.assert_array_equal(same, right)


def test_a_jump_between_two_sure_images_is_not_overlooked() -> None:
    """p_s(1 − p_s) is 0 at every image of the path; all of T lies in one step."""
    models = pixel_models(TemplateClassifier(np.array([[1e9] + [0.0] * 15, [-1e9] + [0.0] * 15])), 4, 4)
    _, points = path_of(models, ends(np.full(16, 0.31), np.full(16, 0.73)), Interpolation.LINEAR, 50)
    steps = PathSteps.sparing(points, 0)
    sparing, whole = objective_of(models, points, 0, 0.0, steps=steps), objective_of(models, points, 0, 0.0)
    full = np.ones((4, 4))
    assert abs(steps.change) == pytest.approx(1.0)
    assert sparing.evaluate(full).objective == pytest.approx(whole.evaluate(full).objective)


def _counted(count: int) -> tuple[MorphingModels, PathPoints, Any]:
    """Models, a path's points, and the models again, counting the images they are asked about."""
    models = template_models()
    _, points = path_of(models, ends(code_of(1), code_of(0)), Interpolation.SLERP, count)
    counted = replace(
        models, classifier=_Counting(models.classifier), classifier_gradient=_Counting(models.classifier_gradient)
    )
    return models, points, counted


class _Counting:
    """A classifier that counts the images it is asked about."""

    def __init__(self, classifier: Any) -> None:
        self._classifier, self.rows = classifier, 0

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.rows += len(images)
        return np.asarray(self._classifier.logits(images))

    def probability_gradient(self, images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.rows += len(images)
        slope, probabilities = self._classifier.probability_gradient(images, weights)
        return slope, probabilities
