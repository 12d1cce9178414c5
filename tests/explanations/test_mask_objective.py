"""J, its gradient and its certificate against finite differences and brute force."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.blur import Blur
from explaind.explanations.mask_objective import MaskObjective
from explaind.explanations.types import Interpolation
from tests.explanations.morphing_models import SIDE, AffineClassifier, code_of, template_models
from tests.explanations.paths import ends, objective_of, path_of, pixel_models


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
