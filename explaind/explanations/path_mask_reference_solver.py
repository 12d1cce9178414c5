"""REFERENCE path mask: the source's Adam on m, 3000 steps of 1e-3, clipped to [0, 1] [PM], DESIGN §3.4."""

from __future__ import annotations

import numpy as np

from explaind.explanations.adam import Adam
from explaind.explanations.budget import Budget
from explaind.explanations.mask_objective import MaskObjective, MaskState
from explaind.explanations.types import DoubleArray

RATE = 1e-3
STEPS = 3000
START = 0.5


def solve(
    objective: MaskObjective, shape: tuple[int, int], budget: Budget, *, steps: int = STEPS, drifting: bool = False
) -> MaskState:
    """shape: (H, W) of the mask → where Adam ends, or is when the deadline is near.

    drifting: the source's own penalty, rescaled by running averages so that its objective depends on its history;
    for reports only (REFERENCE_DRIFTING).
    """
    adam, drift = Adam(RATE), _Drift()
    state = objective.evaluate(np.full(shape, START))
    for _ in range(steps):
        if budget.nearly_spent():
            break
        slope = drift.slope(objective, state) if drifting else state.slope
        state = objective.evaluate(np.clip(state.mask + adam.step(-slope), 0.0, 1.0))
    return state


class _Drift:
    """Brings the penalty to the size of the gain by the ratio of their running means."""

    def __init__(self) -> None:
        self._gains, self._areas = 0.0, 0.0

    def slope(self, objective: MaskObjective, state: MaskState) -> DoubleArray:
        self._gains += abs(state.gain)
        self._areas += state.area
        scale = self._gains / self._areas if self._areas > 0.0 else 1.0
        return objective.rescaled(state, scale)
