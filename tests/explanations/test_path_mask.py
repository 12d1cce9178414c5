"""The whole explanation: morph, path, mask and what is said about them."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explaind.errors import Cancelled, ParameterOutOfRange
from explaind.explanations import anomaly_score
from explaind.explanations.budget import Budget
from explaind.explanations.models import MorphingModels
from explaind.explanations.path_mask import explain
from explaind.explanations.prediction import predict
from explaind.explanations.types import (
    AnomalyReference,
    Interpolation,
    MahalanobisFit,
    PathMask,
    PathMaskOutcome,
    PathMaskParameters,
    Solver,
)
from tests.explanations.morphing_models import (
    LATENTS,
    REFERENCE,
    SIDE,
    constant_models,
    image_of,
    template_models,
)


def _explain(
    index: int = 0, budget: Budget | None = None, models: MorphingModels | None = None, **asked: Any
) -> PathMask:
    models, image = models or template_models(), image_of(index)
    prediction = predict(models.classifier, image[None])[0]
    return explain(models, REFERENCE, None, image, PathMaskParameters(**asked), prediction=prediction, budget=budget)


def test_a_converged_mask_carries_its_certificates() -> None:
    result = _explain(other_class=1)
    assert result.outcome is PathMaskOutcome.CONVERGED
    assert result.reason == ""
    assert result.probability_change > 0.9
    assert result.completeness_gap <= 0.01
    assert result.stationarity_gap <= 2e-3
    assert result.mask.shape == result.attribution.shape == (SIDE, SIDE)
    assert 0.0 <= result.mask.min() < 0.5 < result.mask.max() <= 1.0
    assert result.gains.shape == (99,)
    assert result.gains.sum() == pytest.approx(result.probability_change)
    assert result.entropies.shape == (100,)
    assert 0 <= result.entropies.min() <= result.entropies.max() <= 1
    assert 1 < result.entropy_mean_step < 100
    assert math.isnan(result.other_p_value)
    assert result.path is None


def test_the_recipe_s_sparsity_holds_where_the_caller_names_none() -> None:
    models, image = template_models(), image_of(0)
    prediction = predict(models.classifier, image[None])[0]

    def area(recipe: float | None, asked: float | None) -> float:
        reference = replace(REFERENCE, sparsity=recipe)
        mask = explain(models, reference, None, image, PathMaskParameters(sparsity=asked), prediction=prediction)
        return float(mask.mask.mean())

    assert area(8.0, None) == area(None, 8.0) < area(None, None) == area(None, 1.0)
    assert area(8.0, 1.0) == area(None, 1.0)


def test_images_are_the_paths_ends() -> None:
    result = _explain(other_class=1, include_path=True, step_count=30)
    assert result.path is not None
    assert result.path.shape == (30, 1, SIDE, SIDE)
    assert np.array_equal(result.other_image, result.path[0])
    assert np.array_equal(result.reconstruction, result.path[-1])
    models = template_models()
    assert [p.class_index for p in predict(models.classifier, result.path[[0, -1]])] == [1, 0]


def test_an_image_that_looks_like_other_lies_at_the_start_of_its_path() -> None:
    """Explaining why an image seen as 0 is not 2: it is x_1, and what the walk found is x_n."""
    result = _explain(self_class=2, other_class=0, include_path=True)
    assert result.path is not None
    assert result.probability_change > 0.5
    assert np.array_equal(result.reconstruction, result.path[0])
    assert np.abs(result.reconstruction - image_of(0)).mean() < np.abs(result.other_image - image_of(0)).mean()


@pytest.mark.parametrize("kind", list(Interpolation))
@pytest.mark.parametrize("steps", [2, 100])
def test_every_interpolation_and_length_gives_a_mask(kind: Interpolation, steps: int) -> None:
    result = _explain(other_class=1, interpolation=kind, step_count=steps)
    assert result.outcome in (PathMaskOutcome.CONVERGED, PathMaskOutcome.BEST_SO_FAR)
    assert result.completeness_gap <= 0.01
    assert result.mask.max() > 0


@pytest.mark.parametrize("solver", list(Solver))
def test_a_constant_classifier_gives_no_change_and_a_reason(solver: Solver) -> None:
    result = _explain(models=constant_models(), solver=solver)
    assert result.outcome is PathMaskOutcome.NO_CHANGE
    assert "nothing to attribute" in result.reason
    assert result.probability_change == 0.0
    assert result.mask.max() == result.attribution.max() == 0


def test_classes_far_from_the_image_have_no_morph() -> None:
    result = _explain(0, self_class=1, other_class=2)
    assert result.outcome is PathMaskOutcome.NO_MORPH_FOUND
    assert "class 1 or 2" in result.reason
    assert result.mask.max() == 0
    assert result.gains.shape == result.entropies.shape == (0,)
    assert result.other_image.shape == result.reconstruction.shape == (1, SIDE, SIDE)


def test_a_passed_deadline_gives_the_best_so_far() -> None:
    result = _explain(budget=Budget(deadline=time.monotonic() - 1))
    assert result.outcome is PathMaskOutcome.BEST_SO_FAR
    assert "deadline" in result.reason


class _Expires:
    """A classifier gradient during whose first call the deadline passes."""

    def __init__(self, inner: Any, budget: Budget) -> None:
        self._inner, self._budget = inner, budget

    def probability_gradient(self, images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._budget.deadline = time.monotonic() - 1
        result: tuple[np.ndarray, np.ndarray] = self._inner.probability_gradient(images, weights)
        return result


def test_a_deadline_during_the_mask_gives_the_best_so_far() -> None:
    """REFERENCE would take its 3000 steps; it stops at its start, a half everywhere, and says so."""
    models, budget = template_models(), Budget()
    timed = MorphingModels(
        models.classifier, _Expires(models.classifier_gradient, budget), models.autoencoder, models.morph_gradient
    )
    result = _explain(models=timed, budget=budget, other_class=1, solver=Solver.REFERENCE)
    assert result.outcome is PathMaskOutcome.BEST_SO_FAR
    assert "stationarity gap" in result.reason
    assert result.mask[SIDE // 2, SIDE // 2] == pytest.approx(0.5)


class _CancelsAt:
    """A morph gradient whose caller goes away at the n-th call."""

    def __init__(self, inner: Any, budget: Budget, call: int) -> None:
        self._inner, self._budget, self._left = inner, budget, call

    def logit_gradient(self, codes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self._left -= 1
        if self._left == 0:
            self._budget.cancel()
        assert self._left >= 0, "no call may follow a cancellation"
        result: tuple[np.ndarray, np.ndarray] = self._inner.logit_gradient(codes, weights)
        return result


def test_cancellation_in_mid_walk_ends_it_before_the_next_call() -> None:
    models, budget = template_models(), Budget()
    watched = MorphingModels(
        models.classifier, models.classifier_gradient, models.autoencoder, _CancelsAt(models.morph_gradient, budget, 2)
    )
    with pytest.raises(Cancelled):
        _explain(models=watched, budget=budget, other_class=1)


@pytest.mark.parametrize(
    ("name", "value"), [("step_count", -1), ("sparsity", -1.0), ("other_class", 0), ("self_class", 7)]
)
def test_bad_parameters_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ParameterOutOfRange) as caught:
        _explain(**{name: value})
    assert caught.value.field == f"path_mask.{name}"


def test_a_seed_repeats_the_answer_to_the_bit() -> None:
    first, second = _explain(seed=3), _explain(seed=3)
    assert np.array_equal(first.mask, second.mask)
    assert np.array_equal(first.attribution, second.attribution)
    assert first.objective == second.objective


def _calibrated_on_own_rebuilds(models: MorphingModels) -> AnomalyReference:
    codes = np.random.default_rng(43).normal(size=(400, LATENTS)).astype(np.float32) * 2
    images = models.autoencoder.decode(codes)
    mean, deviation = models.autoencoder.encode(images)
    noise = np.random.default_rng(44).normal(0, 0.01, images.shape).astype(np.float32)
    features = anomaly_score.features(np.clip(images + noise, 0, 1), models.autoencoder.decode(mean), mean, deviation)
    fit = anomaly_score.fit_mahalanobis(features[:200], features[200:])
    unused = MahalanobisFit(center=fit.center, scale=fit.scale, precision=fit.precision, calibration=np.zeros(1))
    return AnomalyReference(mahalanobis=unused, logistic=None, rebuilt=fit)


def test_the_other_image_is_judged_among_reconstructions() -> None:
    models, image = template_models(), image_of(0)
    reference = _calibrated_on_own_rebuilds(models)
    prediction = predict(models.classifier, image[None])[0]
    result = explain(models, REFERENCE, reference, image, PathMaskParameters(), prediction=prediction)
    expected = anomaly_score.rebuilt_p_values(models.autoencoder, reference, result.other_image[None])
    assert result.other_p_value == pytest.approx(float(expected[0]))
    assert 1 / 201 <= result.other_p_value <= 1
