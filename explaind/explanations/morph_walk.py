"""The loop both morph solvers share: gradient, stop test, step, until the goal, the cap or the deadline.

The gradient call returns the logits of the codes it was given, and row 0 is the code itself, so the stop test
costs no call of its own. But at the goal nobody needs gradients, and what comes next needs the decoded code: where a
step may well have arrived, the code is decoded and classified first, in a fourth of a gradient call's time: over half
of such looks find the goal, and one in four would do to save time.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

import numpy as np

from explaind.explanations import two_class
from explaind.explanations.budget import Budget
from explaind.explanations.models import MorphGradient, MorphingModels
from explaind.explanations.types import DoubleArray, FloatArray

MASK_RESERVE = 0.06  # seconds a morph leaves of a deadline for the mask that follows


class Stop(StrEnum):
    """Why a walk ended. FLAT: no direction raises the target's logit."""

    REACHED = "reached"
    STEPS_SPENT = "steps spent"
    DEADLINE = "deadline"
    FLAT = "flat"


@dataclass(frozen=True, slots=True)
class Goal:
    """target: the class to reach; rival: the one left behind; class_count: K; threshold: two-class entropy, bits.

    lead_needed: of the target over the rival, in logits; beyond it the entropy is below the threshold.
    """

    target: int
    rival: int
    class_count: int
    threshold: float
    lead_needed: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lead_needed", two_class.sure_lead(self.threshold))

    def is_top(self, logits: FloatArray) -> bool:
        return int(logits.argmax()) == self.target

    def entropy(self, logits: FloatArray) -> float:
        return two_class.entropy_of_lead(abs(self.lead(logits)))

    def lead(self, logits: FloatArray) -> float:
        """Of the target over the rival, in logits."""
        return logits.item(self.target) - logits.item(self.rival)

    def reached(self, logits: FloatArray) -> bool:
        """Target over rival, sure of it, and first of all classes. (DESIGN §3.3)"""
        return self.lead(logits) > self.lead_needed and self.is_top(logits)


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a step is taken from: the target's logit; missing: of the lead over the rival to the goal, in logits;
    gained: of that lead by the last step, None at the first of a walk."""

    target_logit: float
    missing: float
    gained: float | None


class Stepper(Protocol):
    """One solver's rule; `steps`: its own cap; `near`: whether the last step may well have arrived."""

    steps: int
    near: bool

    def batch(self, code: DoubleArray) -> DoubleArray:
        """code (D,) → codes (B, D) whose gradients are wanted; row 0 is `code`."""
        ...

    def rival(self, target: int, logits: FloatArray) -> int | None:
        """logits (K,) where the last step was taken from → the class whose logit is to be left behind; None: no
        class, the target's own logit is climbed."""
        ...

    def advance(self, code: DoubleArray, gradient: DoubleArray, standing: Standing) -> DoubleArray:
        """gradient (B, D) of the target's logit, or of its lead over the rival, not all 0 → the next code (D,)."""
        ...


@dataclass(frozen=True, slots=True)
class Walk:
    """Where a walk ended: code (D,), the logits (K,) it decodes to, how many steps, and why.

    image (1, C, H, W): what it decodes to, where that is known."""

    code: DoubleArray
    logits: FloatArray
    steps: int
    stop: Stop
    image: FloatArray | None = None


def walk(models: MorphingModels, start: DoubleArray, goal: Goal, stepper: Stepper, cap: int, budget: Budget) -> Walk:
    """start (D,), at most `cap` steps → the first code that reaches the goal, or the last one. Raises Cancelled."""
    code = start
    rival: int | None = None
    before: float | None = None
    for steps in range(cap + 1):
        budget.raise_if_cancelled()
        if stepper.near and steps > 0 and (arrived := _arrived(models, code, goal, steps)) is not None:
            return arrived
        slopes, logits = _slopes(models.morph_gradient, stepper.batch(code), goal, rival)
        here = logits[0]
        stop = Stop.REACHED if goal.reached(here) else _stop(slopes, steps, cap, budget)
        if stop is not None:
            return Walk(code=code, logits=here, steps=steps, stop=stop)
        missing = goal.lead_needed - goal.lead(here)
        gained = None if before is None else before - missing
        code = stepper.advance(code, slopes, Standing(here.item(goal.target), missing, gained))
        rival, before = stepper.rival(goal.target, here), missing
    raise AssertionError("the cap ends the walk")


def _arrived(models: MorphingModels, code: DoubleArray, goal: Goal, steps: int) -> Walk | None:
    image = models.autoencoder.decode(code[None].astype(np.float32))
    logits = models.classifier.logits(image)[0]
    return Walk(code, logits, steps, Stop.REACHED, image) if goal.reached(logits) else None


def _slopes(
    gradient: MorphGradient, codes: DoubleArray, goal: Goal, rival: int | None
) -> tuple[DoubleArray, FloatArray]:
    weights = np.zeros((len(codes), goal.class_count), np.float32)
    weights[:, goal.target] = 1.0
    if rival is not None:
        weights[:, rival] = -1.0
    slopes, logits = gradient.logit_gradient(np.ascontiguousarray(codes, dtype=np.float32), weights)
    return slopes.astype(np.float64), logits


def _stop(slopes: DoubleArray, steps: int, cap: int, budget: Budget) -> Stop | None:
    every = slopes.ravel()
    if not every @ every:  # squares of float32 numbers do not vanish in float64
        return Stop.FLAT
    if steps >= cap:
        return Stop.STEPS_SPENT
    return Stop.DEADLINE if budget.nearly_spent(MASK_RESERVE) else None
