"""When the walk that both solvers share is over."""

from __future__ import annotations

import numpy as np

from explaind.explanations.morph_walk import Goal
from tests.explanations.morphing_models import CLASSES

GOAL = Goal(target=1, rival=0, class_count=CLASSES, threshold=0.01)


def test_the_goal_is_the_entropy_threshold() -> None:
    for lead in np.linspace(-12, 12, 97):
        logits = np.array([0.0, lead, -20.0], np.float32)
        expected = lead > 0 and GOAL.entropy(logits) < GOAL.threshold
        assert GOAL.reached(logits) is bool(expected)
    assert not GOAL.reached(np.array([0.0, 9.0, 9.5], np.float32))
    assert Goal(target=1, rival=0, class_count=2, threshold=1.0).reached(np.array([0.0, 0.1], np.float32))
