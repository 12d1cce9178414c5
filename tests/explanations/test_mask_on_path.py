"""Planted truths of the path mask: closed form, no change, signs, and FAST against REFERENCE."""

from __future__ import annotations

import math
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import correlate1d

from explaind.explanations import (
    mask_on_path,
    path_mask_fast_solver,
    path_mask_parameters,
    path_mask_reference_solver,
)
from explaind.explanations.blur import Blur
from explaind.explanations.budget import Budget
from explaind.explanations.mask_objective import MaskObjective, MaskState
from explaind.explanations.mask_on_path import MaskOnPath
from explaind.explanations.models import MorphingModels
from explaind.explanations.path_attribution import integrate
from explaind.explanations.path_mask_fast_solver import STATIONARY
from explaind.explanations.path_steps import PathSteps, StepSlopes
from explaind.explanations.types import Interpolation, Morph, PathMaskParameters, Solver
from tests.explanations.morphing_models import REFERENCE as STATISTICS
from tests.explanations.morphing_models import SIDE, AffineClassifier, ConstantClassifier, code_of, template_models
from tests.explanations.paths import ends, gradient_of, objective_of, path_of, pixel_models

FAST = PathMaskParameters(interpolation=Interpolation.LINEAR)


def _solve(
    models: MorphingModels, morph: Morph, parameters: PathMaskParameters = FAST, budget: Budget | None = None
) -> MaskOnPath:
    path, points = path_of(models, morph, parameters.interpolation, parameters.step_count)
    cost = path_mask_parameters.sparsity(parameters, STATISTICS)
    return mask_on_path.solve(models, path, points, morph.self_class, parameters.solver, cost, budget or Budget())


def _affine(channels: int = 1, size: int = 28) -> tuple[MorphingModels, np.ndarray, np.ndarray, np.ndarray]:
    """Models, the classifier's weights, and the two ends of a straight path, on smooth random fields."""
    random = np.random.default_rng(41)
    kernel = np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2)
    noise = random.normal(size=(3, channels, size, size))
    field = correlate1d(correlate1d(noise, kernel, axis=-1), kernel, axis=-2)
    weights = field[0] / np.abs(field[0]).sum() * 0.9
    first, last = (np.clip(0.5 + 0.1 * one, 0, 1).astype(np.float32) for one in field[1:])
    return pixel_models(AffineClassifier(weights), size, size, channels), weights, first, last


def _gaussian(image: np.ndarray, sigma: float) -> np.ndarray:
    radius = math.ceil(2.5 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    kernel /= kernel.sum()
    return correlate1d(correlate1d(image, kernel, axis=0, mode="constant"), kernel, axis=1, mode="constant")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("sparsity", [0.0, 1.0, 3.0])
def test_for_a_linear_classifier_on_a_linear_path_the_mask_is_the_closed_form(channels: int, sparsity: float) -> None:
    models, weights, first, last = _affine(channels)
    result = _solve(models, ends(first, last), replace(FAST, sparsity=sparsity))
    change = float(np.sum(weights * (last.astype(np.float64) - first)))
    gain = _gaussian((weights * (last.astype(np.float64) - first)).sum(axis=0), 1.5) / change
    cost = sparsity * _gaussian(np.ones((28, 28)), 1.5) / 784
    expected = _gaussian((gain > cost).astype(np.float64), 1.5)
    assert result.change == pytest.approx(change, abs=1e-5)
    assert result.applied == pytest.approx(expected, abs=1e-6)
    assert result.objective == pytest.approx(float(np.maximum(gain - cost, 0).sum()), abs=1e-3)
    assert result.stationarity_gap <= 1e-4
    assert result.completeness_gap <= 1e-4
    assert result.reason == ""


def test_signed_attribution_is_red_where_brighter_means_self() -> None:
    models, _, first, last = _affine()
    result = _solve(models, ends(first, last))
    whole = (last.astype(np.float64) - first)[0]
    assert np.all(result.signed * whole >= 0)
    assert result.signed == pytest.approx(result.applied * whole)
    assert result.signed.max() > 0 > result.signed.min()


@pytest.mark.parametrize("kind", list(Interpolation))
def test_swapping_self_and_other_keeps_the_mask_and_flips_every_sign(kind: Interpolation) -> None:
    """Two classes; the same path walked backwards, explained for the other class."""
    models, _, first, last = _affine()
    parameters = replace(FAST, interpolation=kind)
    forward = _solve(models, ends(first, last, (0, 1)), parameters)
    backward = _solve(models, ends(last, first, (1, 0)), parameters)
    assert forward.applied.max() > 0.5
    assert backward.applied == pytest.approx(forward.applied, abs=1e-6)
    assert backward.signed == pytest.approx(-forward.signed, abs=1e-6)
    assert backward.change == pytest.approx(forward.change, abs=1e-5)


@pytest.mark.parametrize("solver", list(Solver))
def test_a_constant_classifier_changes_nothing_and_divides_by_nothing(solver: Solver) -> None:
    models = pixel_models(ConstantClassifier(), 28, 28)
    random = np.random.default_rng(42)
    result = _solve(models, ends(random.random(784), random.random(784)), replace(FAST, solver=solver))
    assert not result.solved
    assert "nothing to attribute" in result.reason
    assert np.all(result.applied == 0)
    assert np.all(result.signed == 0)
    assert (result.change, result.objective, result.completeness_gap) == (0.0, 0.0, 0.0)


def test_equal_ends_change_nothing() -> None:
    models, _, first, _ = _affine()
    assert not _solve(models, ends(first, first)).solved


def test_a_falling_probability_is_explained_too() -> None:
    """T < 0: the gain is measured in its own direction, so the mask still gains."""
    models, _, first, last = _affine()
    rising, falling = _solve(models, ends(first, last)), _solve(models, ends(last, first))
    assert np.sign(rising.change) == -np.sign(falling.change)
    assert falling.applied == pytest.approx(rising.applied, abs=1e-6)


@pytest.mark.parametrize("pair", [(0, 1), (1, 2)])
@pytest.mark.parametrize("kind", [Interpolation.SLERP, Interpolation.RADIAL])
def test_fast_reaches_what_adam_reaches(pair: tuple[int, int], kind: Interpolation) -> None:
    models = template_models()
    morph = ends(code_of(pair[1]), code_of(pair[0]), pair)
    parameters = PathMaskParameters(interpolation=kind, step_count=30)
    fast = _solve(models, morph, parameters)
    reference = _solve(models, morph, replace(parameters, solver=Solver.REFERENCE))
    assert fast.objective >= reference.objective - 0.005 * abs(reference.objective)
    assert fast.stationarity_gap <= 2e-3
    a, b = fast.applied > 0.5, reference.applied > 0.5
    assert (a & b).sum() / (a | b).sum() > 0.9


def test_steps_too_long_for_the_linear_form_are_polished() -> None:
    """Two images only: the closed form is off, the certificate says so, and polish closes it."""
    models = template_models()
    parameters = PathMaskParameters(step_count=2)
    morph = ends(code_of(1), code_of(0))
    path, points = path_of(models, morph, Interpolation.SLERP, 2)
    objective = objective_of(models, points, 0)
    slopes, steps = gradient_of(models, points, 0), PathSteps.every(points, 0)
    bare = objective.evaluate(objective.closed_form(integrate(slopes, path, points, steps, 0, Budget()).values))
    result = _solve(models, morph, parameters)
    assert bare.gap > 2e-3
    assert result.stationarity_gap < bare.gap
    assert result.objective > bare.objective


class _Recording(MaskObjective):
    """masks: of each evaluation; knew: whether it knew gradients."""

    masks: list[np.ndarray]
    knew: list[bool]

    def evaluate(self, mask: np.ndarray, known: StepSlopes | None = None) -> MaskState:
        self.masks.append(mask)
        self.knew.append(known is not None)
        return super().evaluate(mask, known)


@pytest.mark.parametrize(("count", "again"), [(2, True), (100, False)])
def test_a_gap_that_may_be_too_large_is_found_again_by_gradients_of_its_own(count: int, again: bool) -> None:
    models = template_models()
    path, points = path_of(models, ends(code_of(1), code_of(0)), Interpolation.SLERP, count)
    slopes, steps = gradient_of(models, points, 0), PathSteps.sparing(points, 0)
    objective = _Recording(slopes, models.classifier, steps, 0, Blur(SIDE, SIDE), 1.0)
    objective.masks, objective.knew = [], []
    state = path_mask_fast_solver.solve(objective, integrate(slopes, path, points, steps, 0, Budget()), Budget())
    assert objective.knew == [True] + [False] * (len(objective.knew) - 1)
    assert (len(objective.knew) > 1) == again
    if again:
        np.testing.assert_array_equal(objective.masks[1], objective.masks[0])
    else:
        assert state.gap <= STATIONARY


@pytest.mark.parametrize("first", [0, 1])
def test_logits_that_are_no_numbers_give_no_mask_and_no_crash(first: int) -> None:
    """From image `first` of the path on, but for its end where that is not the first."""
    models = template_models()
    path, points = path_of(models, ends(code_of(1), code_of(0)), Interpolation.SLERP)
    logits = points.logits.copy()
    logits[first : len(logits) - first] = np.nan
    points = replace(points, logits=logits)
    result = mask_on_path.solve(models, path, points, 0, Solver.FAST, 1.0, Budget())
    assert not result.solved
    assert not result.applied.any() and not result.signed.any()
    assert "nan" in result.reason


def test_more_sparsity_means_less_mask() -> None:
    models = template_models()
    areas = [
        _solve(models, ends(code_of(1), code_of(0)), PathMaskParameters(sparsity=alpha)).applied.mean()
        for alpha in (0.0, 0.5, 1.0, 2.0, 1000.0)
    ]
    assert areas == sorted(areas, reverse=True)
    assert areas[0] > areas[2] > areas[-1] == 0.0


@pytest.mark.parametrize("solver", list(Solver))
def test_near_the_deadline_there_is_still_a_mask_and_a_reason_to_doubt_it(solver: Solver) -> None:
    late = Budget(deadline=time.monotonic() - 1)
    parameters = PathMaskParameters(solver=solver, step_count=2)
    result = _solve(template_models(), ends(code_of(1), code_of(0)), parameters, late)
    assert result.solved
    assert result.applied.max() > 0
    assert result.reason


def test_the_drifting_penalty_of_the_source_gives_another_mask() -> None:
    models = template_models()
    _, points = path_of(models, ends(code_of(1), code_of(0)), Interpolation.SLERP, 10)
    objective = objective_of(models, points, 0)
    frozen, drifting = (
        path_mask_reference_solver.solve(objective, (SIDE, SIDE), Budget(), steps=400, drifting=drifting)
        for drifting in (False, True)
    )
    assert np.abs(frozen.mask - drifting.mask).max() > 0.05
