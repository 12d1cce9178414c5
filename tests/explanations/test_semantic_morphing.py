"""Both morph solvers on a NumPy decoder and classifier; every way a walk can end."""

from __future__ import annotations

import time

import numpy as np
import pytest

from explaind.errors import Cancelled, ParameterOutOfRange
from explaind.explanations import two_class
from explaind.explanations.budget import Budget
from explaind.explanations.morph_reference_solver import LikelihoodDescent
from explaind.explanations.morph_walk import Goal, Standing, Stop, Walk, walk
from explaind.explanations.prediction import predict
from explaind.explanations.semantic_morphing import morph
from explaind.explanations.smoothed_flow import (
    FIRST_STEP,
    LEAD_STEPS,
    LONGEST,
    NEIGHBOURS,
    PAST,
    SHORTEST,
    UNSURE,
    SmoothedFlow,
)
from explaind.explanations.types import Morph, PathMaskParameters, Solver
from tests.explanations.morphing_models import REFERENCE, code_of, constant_models, image_of, template_models


def _morph(index: int, budget: Budget | None = None, **asked: object) -> Morph:
    models, image = template_models(), image_of(index)
    prediction = predict(models.classifier, image[None])[0]
    parameters = PathMaskParameters(**asked)  # type: ignore[arg-type]
    return morph(models, REFERENCE, image, parameters, prediction=prediction, budget=budget)


def _logits(code: np.ndarray) -> np.ndarray:
    models = template_models()
    return np.asarray(models.classifier.logits(models.autoencoder.decode(code[None].astype(np.float32)))[0])


@pytest.mark.parametrize(
    ("solver", "index", "other"),
    [("fast", 0, 1), ("fast", 0, 2), ("fast", 1, 2), ("fast", 2, 1), ("reference", 0, 1), ("reference", 1, 2)],
)
def test_a_morph_ends_sure_of_the_other_class(solver: str, index: int, other: int) -> None:
    result = _morph(index, solver=Solver(solver), other_class=other)
    logits = _logits(result.z_other)
    assert result.found
    assert not result.best_so_far
    assert result.reason == ""
    assert int(logits.argmax()) == other
    assert float(two_class.entropy(logits, other, index)) == pytest.approx(result.entropy, abs=1e-6)
    assert result.entropy < 0.01
    assert int(_logits(result.z_self).argmax()) == index
    assert result.latent_distance == pytest.approx(np.linalg.norm(result.z_self - result.z_other))


def test_fast_takes_few_steps() -> None:
    result = _morph(0, other_class=1)
    assert 2 <= result.steps <= 40
    assert result.latent_distance <= LONGEST * result.steps + 1e-9


def test_the_runner_up_is_the_default() -> None:
    result = _morph(0)
    assert (result.self_class, result.other_class) == (0, 2)
    assert result.reconstruction_agrees


def test_a_seed_repeats_and_another_does_not() -> None:
    first, again, other = (_morph(0, seed=seed) for seed in (7, 7, 8))
    assert np.array_equal(first.z_other, again.z_other)
    assert not np.array_equal(first.z_other, other.z_other)


def test_an_image_that_looks_like_other_walks_to_self() -> None:
    """A wrongly classified image asked about its true class: its own code is z_other."""
    result = _morph(0, self_class=2, other_class=0)
    assert result.found
    assert not result.image_is_self
    assert result.z_other == pytest.approx(code_of(0), abs=0.5)
    assert int(_logits(result.z_self).argmax()) == 2


def test_an_image_of_neither_class_has_no_morph() -> None:
    result = _morph(0, self_class=1, other_class=2)
    assert not result.found
    assert not result.best_so_far
    assert "class 1 or 2" in result.reason
    assert result.latent_distance == 0.0


@pytest.mark.parametrize("classes", [{}, {"self_class": 2, "other_class": 0}])
def test_both_ends_come_decoded_and_classified(classes: dict[str, int]) -> None:
    """Whichever end the walk has gone to."""
    result, models = _morph(0, **classes), template_models()
    assert result.decoded is not None
    for code, known in zip((result.z_other, result.z_self), result.decoded, strict=True):
        np.testing.assert_array_equal(known.image, models.autoencoder.decode(code[None].astype(np.float32)))
        np.testing.assert_array_equal(known.logits, _logits(code))


def test_an_end_that_no_look_has_seen_is_not_decoded() -> None:
    assert _morph(0, max_steps=1).decoded is None
    assert _morph(0, solver=Solver.REFERENCE).decoded is None


@pytest.mark.parametrize("solver", list(Solver))
def test_a_constant_classifier_is_flat(solver: Solver) -> None:
    models, image = constant_models(), image_of(0)
    prediction = predict(models.classifier, image[None])[0]
    result = morph(models, REFERENCE, image, PathMaskParameters(solver=solver), prediction=prediction)
    assert result.flat
    assert not result.found
    assert "no direction raises class 1" in result.reason
    assert np.array_equal(result.z_self, result.z_other)


@pytest.mark.parametrize("solver", list(Solver))
def test_too_few_steps_end_without_a_morph(solver: Solver) -> None:
    result = _morph(0, solver=solver, max_steps=1)
    assert (result.found, result.best_so_far, result.steps) == (False, False, 1)
    assert "took all its 1 steps" in result.reason


def test_a_walk_cut_after_the_boundary_is_the_best_so_far() -> None:
    """One step before certainty the other class already leads."""
    whole = _morph(0, other_class=1)
    cut = _morph(0, other_class=1, max_steps=whole.steps - 1)
    assert cut.found
    assert cut.best_so_far
    assert "entropy threshold" in cut.reason


def test_a_deadline_ends_the_walk_with_what_there_is() -> None:
    result = _morph(0, budget=Budget(deadline=time.monotonic() - 1.0))
    assert result.best_so_far
    assert result.steps == 0
    assert "deadline" in result.reason


def test_cancellation_ends_the_walk() -> None:
    budget = Budget()
    budget.cancel()
    with pytest.raises(Cancelled):
        _morph(0, budget=budget)


def test_bad_parameters_are_refused_before_any_model_call() -> None:
    with pytest.raises(ParameterOutOfRange) as caught:
        _morph(0, other_class=3)
    assert caught.value.field == "path_mask.other_class"


def test_fast_makes_one_call_a_step_and_none_to_see_the_end_where_a_look_sees_it() -> None:
    models, image = template_models(), image_of(0)
    prediction = predict(models.classifier, image[None])[0]
    result = morph(models, REFERENCE, image, PathMaskParameters(), prediction=prediction)
    assert models.morph_gradient.calls == result.steps  # type: ignore[attr-defined]
    asked = [1 if step in LEAD_STEPS else 1 + NEIGHBOURS for step in range(result.steps)]
    assert models.morph_gradient.codes == sum(asked)  # type: ignore[attr-defined]


@pytest.mark.parametrize("near", [False, True])
def test_looking_first_changes_nothing_but_the_cost(near: bool) -> None:
    """A walk straight towards the goal: the same end, seen by a look or by a gradient call; a look in vain costs no
    step."""

    class Straight:
        steps = 50

        def __init__(self) -> None:
            self.near = near

        def batch(self, code: np.ndarray) -> np.ndarray:
            return code[None]

        def rival(self, target: int, logits: np.ndarray) -> None:
            return None

        def advance(self, code: np.ndarray, gradient: np.ndarray, standing: Standing) -> np.ndarray:
            return code + 0.5 * gradient[0] / np.linalg.norm(gradient[0])

    models = template_models()
    goal = Goal(target=1, rival=0, class_count=3, threshold=0.01)
    start = code_of(0)
    found = walk(models, start, goal, Straight(), 50, Budget())
    assert found.stop is Stop.REACHED
    assert goal.reached(found.logits)
    assert not goal.reached(models.classifier.logits(models.autoencoder.decode(_before(found, start)))[0])
    assert models.morph_gradient.calls == found.steps + (not near)  # type: ignore[attr-defined]
    assert (found.image is not None) is near
    if found.image is not None:
        np.testing.assert_array_equal(found.image, models.autoencoder.decode(found.code[None].astype(np.float32)))


def _before(found: Walk, start: np.ndarray) -> np.ndarray:
    """The code a step before the end of a straight walk, as a batch."""
    whole = found.code - start
    return (found.code - 0.5 * whole / np.linalg.norm(whole))[None].astype(np.float32)


def test_a_fast_step_goes_along_the_mean_gradient_of_the_code_and_opposite_pairs() -> None:
    flow = SmoothedFlow(np.random.default_rng(36))
    batch = flow.batch(np.array([1.0, 2.0]))
    assert batch.shape == (5, 2)
    assert batch[0].tolist() == [1.0, 2.0]
    assert batch.mean(axis=0) == pytest.approx([1.0, 2.0])  # opposite pairs
    assert len(np.unique(batch, axis=0)) == 5
    slopes = np.array([[3.0, 0.0], [0.0, 4.0]])
    assert flow.advance(np.zeros(2), slopes, _standing()) == pytest.approx([0.6 * FIRST_STEP, 0.8 * FIRST_STEP])


def test_a_fast_step_is_as_long_as_the_last_one_says_the_goal_is_away() -> None:
    """0.85 in z brought 4 logits of lead; so 2 more are 0.425 away, and it aims a little past them."""
    flow = SmoothedFlow(np.random.default_rng(36))
    assert _length(flow, _standing()) == FIRST_STEP
    assert _length(flow, _standing(missing=2.0, gained=4.0)) == pytest.approx(0.425 + PAST)
    far, near, back = _standing(missing=90.0, gained=4.0), _standing(missing=0.1, gained=4.0), _standing(gained=-1.0)
    assert [_length(flow, each) for each in (far, near, back)] == [LONGEST, SHORTEST, UNSURE]


def test_a_fast_walk_that_goes_on_elsewhere_keeps_the_speed_it_had() -> None:
    flow = SmoothedFlow(np.random.default_rng(36))
    _length(flow, _standing())
    _length(flow, _standing(missing=2.0, gained=4.0))
    assert _length(flow, _standing(missing=3.0)) == pytest.approx(3.0 / 4.0 * FIRST_STEP + PAST)


def _standing(missing: float = 0.0, gained: float | None = None) -> Standing:
    return Standing(target_logit=0.0, missing=missing, gained=gained)


def _length(flow: SmoothedFlow, standing: Standing) -> float:
    return float(np.linalg.norm(flow.advance(np.zeros(2), np.array([[3.0, 4.0]]), standing)))


def test_a_walk_that_circles_climbs_the_lead_over_the_strongest_rival_for_a_while() -> None:
    flow, logits = SmoothedFlow(np.random.default_rng(37)), np.array([4.0, 9.0, 5.0], np.float32)
    seen = []
    for _ in range(flow.steps):
        seen.append((len(flow.batch(np.zeros(2))), flow.rival(1, logits), flow.rival(0, logits)))
        flow.advance(np.zeros(2), np.array([[1.0, 0.0]]), _standing())
    smooth, lead = (1 + NEIGHBOURS, None, None), (1, 2, 1)
    assert seen == [smooth] * 13 + [lead] * 17 + [smooth] * 30


def test_the_reference_penalty_pulls_towards_the_class_norm() -> None:
    """With no slope of the logit only the penalty moves the code: outwards if too short, inwards if too long."""
    for norm, sign in ((5.0, 1.0), (1.0, -1.0)):
        moved = LikelihoodDescent(0.1, norm).advance(np.array([3.0, 0.0]), np.zeros((1, 2)), Standing(2.0, 0.0, None))
        assert np.sign(moved[0] - 3.0) == sign
        assert moved[1] == 0.0


def test_without_weight_the_reference_climbs_the_logit() -> None:
    moved = LikelihoodDescent(0.0, 5.0).advance(np.zeros(2), np.array([[2.0, -2.0]]), Standing(1.0, 0.0, None))
    assert moved == pytest.approx([1e-3, -1e-3], rel=1e-4)
