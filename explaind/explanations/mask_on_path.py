"""The mask of one given path: both solvers, and the certificates that go with it (DESIGN §3.4)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from explaind.explanations import path_mask_fast_solver, path_mask_reference_solver
from explaind.explanations.blur import blur_of
from explaind.explanations.budget import Budget
from explaind.explanations.mask_objective import MaskObjective, MaskState
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.path_attribution import TOLERANCE, PathGradient, integrate
from explaind.explanations.path_mask_fast_solver import STATIONARY
from explaind.explanations.path_steps import PathSteps
from explaind.explanations.types import DoubleArray, Solver

NO_CHANGE_BELOW = 1e-3  # |T| under which dividing by T would only magnify rounding


@dataclass(frozen=True, slots=True)
class MaskOnPath:
    """applied (H, W): Gm. signed (H, W): (Gm)⊙(x_n − x_1) over channels. change: T.

    solved: False where |T| is near 0; mask and figures are 0 then. reason: why it is not certified.
    """

    applied: DoubleArray
    signed: DoubleArray
    change: float
    solved: bool
    objective: float = 0.0
    stationarity_gap: float = 0.0
    completeness_gap: float = 0.0
    reason: str = ""


def solve(
    models: MorphingModels,
    path: MorphPath,
    points: PathPoints,
    self_class: int,
    solver: Solver,
    sparsity: float,
    budget: Budget,
) -> MaskOnPath:
    """points: the path's step_count images, x_1 (other) first. sparsity: α of the objective. Raises Cancelled."""
    fast, probabilities = solver is Solver.FAST, points.probabilities(self_class)
    height, width = points.images.shape[-2:]
    known = np.isfinite(probabilities).all()  # else a classifier has answered with what is no number
    change = float(probabilities[-1] - probabilities[0]) if known else math.nan
    if not abs(change) >= NO_CHANGE_BELOW:
        return _nothing(change, (height, width), self_class)
    slopes = PathGradient(models.classifier_gradient, self_class, points.logits.shape[1], budget)
    steps = PathSteps.sparing(points, self_class) if fast else PathSteps.every(points, self_class)
    objective = MaskObjective(slopes, models.classifier, steps, self_class, blur_of(height, width), sparsity)
    attribution = integrate(slopes, path, points, steps, self_class, budget)
    if fast:
        state = path_mask_fast_solver.solve(objective, attribution, budget)
    else:
        state = path_mask_reference_solver.solve(objective, (height, width), budget)
    applied = objective.applied(state.mask)
    whole = points.images[-1].astype(np.float64) - points.images[0]
    return MaskOnPath(
        applied=applied,
        signed=applied * whole.sum(axis=0),
        change=change,
        solved=True,
        objective=state.objective,
        stationarity_gap=state.gap,
        completeness_gap=attribution.gap,
        reason=_reason(state, attribution.gap),
    )


def _nothing(change: float, shape: tuple[int, int], self_class: int) -> MaskOnPath:
    empty = np.zeros(shape)
    reason = f"The probability of class {self_class} changes by {change:.2g} along the path: nothing to attribute."
    return MaskOnPath(applied=empty, signed=empty, change=change, solved=False, reason=reason)


def _reason(state: MaskState, completeness_gap: float) -> str:
    if completeness_gap > TOLERANCE:
        return f"The attribution misses {completeness_gap:.3f} of the change of probability, above {TOLERANCE:g}."
    if state.gap > STATIONARY:
        return f"The solver stopped at a stationarity gap of {state.gap:.2g}, above {STATIONARY:g}."
    return ""
