"""The walk both solvers share: what it asks for, and that looking ahead changes nothing but the work."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations import morph_walk
from explaind.explanations.budget import Budget
from explaind.explanations.morph_walk import Approach, Goal, Stop, Walk, walk
from explaind.explanations.smoothed_flow import NEIGHBOURS, SmoothedFlow
from tests.explanations.morphing_models import CLASSES, Composed, code_of, template_models

GOAL = Goal(target=1, rival=0, class_count=CLASSES, threshold=0.01)


def _walk(seed: int) -> tuple[Walk, Composed]:
    gradient = template_models().morph_gradient
    assert isinstance(gradient, Composed)
    stepper = SmoothedFlow(np.random.default_rng(seed))
    return walk(gradient, code_of(0).astype(np.float64), GOAL, stepper, stepper.steps, Budget()), gradient


def test_looking_at_the_next_code_alone_changes_no_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = [_walk(seed) for seed in range(5)]
    monkeypatch.setattr(Approach, "arriving", False)
    plain = [_walk(seed) for seed in range(5)]
    for (ours, few), (theirs, many) in zip(looked, plain, strict=True):
        assert ours.stop is theirs.stop is Stop.REACHED
        assert ours.steps == theirs.steps
        np.testing.assert_array_equal(ours.code, theirs.code)
        assert many.codes == (1 + NEIGHBOURS) * (theirs.steps + 1)
        assert few.codes <= many.codes
    assert sum(few.codes for _, few in looked) < sum(many.codes for _, many in plain)


def test_a_foreseen_arrival_asks_for_no_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Approach, "arriving", True)
    reached, gradient = _walk(0)
    assert reached.stop is Stop.REACHED
    # Each step one look and one call for the neighbours; the last look is enough.
    assert gradient.codes == (1 + NEIGHBOURS) * reached.steps + 1


@pytest.mark.parametrize(
    ("leads", "arriving"),
    [
        ((), False),
        ((6.9,), False),
        ((3.0, 5.1), True),
        ((3.0, 4.9), False),
        ((9.0, 6.0), False),
        ((0.0, 3.0, 5.1), True),
    ],
)
def test_an_arrival_is_foreseen_from_the_last_two_leads(leads: tuple[float, ...], arriving: bool) -> None:
    """7.06 are needed at 0.01 bit."""
    approach = Approach(GOAL)
    for lead in leads:
        approach.see(np.array([0.0, lead, -1.0], np.float32))
    assert approach.arriving is arriving


def test_the_goal_is_the_entropy_threshold() -> None:
    for lead in np.linspace(-12, 12, 97):
        logits = np.array([0.0, lead, -20.0], np.float32)
        expected = lead > 0 and GOAL.entropy(logits) < GOAL.threshold
        assert GOAL.reached(logits) is bool(expected)
    assert not GOAL.reached(np.array([0.0, 9.0, 9.5], np.float32))
    assert morph_walk.Goal(target=1, rival=0, class_count=2, threshold=1.0).reached(np.array([0.0, 0.1], np.float32))
