"""The steps of a path that an integral and a certificate ask about, and what their gradients say of the other steps
(DESIGN §3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.morph_path import PathPoints
from explaind.explanations.step_choice import StepChoice
from explaind.explanations.types import DoubleArray, FloatArray

Places = NDArray[np.intp]

_LEAST_SLACK = 1e-12
_ALONE = 200_000
"""Products of a piece; OpenBLAS wakes its threads from 262,144 on."""


@dataclass(frozen=True, slots=True)
class StepSlopes:
    """Of the sloped steps, at one image of each: values (s, C, H, W): ∇p_s; slack (s,): p_s(1 − p_s)."""

    values: FloatArray
    slack: DoubleArray

    def with_first(self, values: FloatArray, slack: DoubleArray) -> StepSlopes:
        """The first n replaced: values (n, C, H, W), slack (n,)."""
        count = len(values)
        return StepSlopes(np.concatenate([values, self.values[count:]]), np.concatenate([slack, self.slack[count:]]))


@dataclass(frozen=True, slots=True)
class PathSteps:
    """Of one path; a are asked, in the choice's order.

    starts, moves (a, C, H, W): where a step begins, and how far it goes; before, rises (a,): p_s there, and by how much
    it rises in the step; middle_slack (a,): p_s(1 − p_s) half way, by the log-odds of the ends. change: T.
    """

    choice: StepChoice
    starts: FloatArray
    moves: FloatArray
    before: DoubleArray
    rises: DoubleArray
    middle_slack: DoubleArray
    change: float

    @classmethod
    def every(cls, points: PathPoints, self_class: int) -> Self:
        """All steps, each with a gradient of its own."""
        return cls._of(points, self_class, StepChoice.every(len(points.positions) - 1))

    @classmethod
    def sparing(cls, points: PathPoints, self_class: int) -> Self:
        """Fewer where p_s hardly moves: see `step_choice`."""
        return cls._of(points, self_class, StepChoice.sparing(points.probabilities(self_class), points.drawn))

    @classmethod
    def _of(cls, points: PathPoints, self_class: int, choice: StepChoice) -> Self:
        asked, probabilities, odds = choice.asked, points.probabilities(self_class), points.log_odds(self_class)
        starts, before = points.images[asked], probabilities[asked]
        chance = 1.0 / (1.0 + np.exp(-0.5 * (odds[asked] + odds[asked + 1])))
        return cls(
            choice=choice,
            starts=starts,
            moves=points.images[asked + 1] - starts,
            before=before,
            rises=probabilities[asked + 1] - before,
            middle_slack=chance * (1.0 - chance),
            change=float(probabilities[-1] - probabilities[0]),
        )

    def moves_of(self, slopes: StepSlopes, slack: DoubleArray) -> FloatArray:
        """slack (a,): p_s(1 − p_s) at the images where ∇p_s is wanted → what each of `slopes` is to be multiplied with
        (s, C, H, W): its own step, and of steps beside it as much as it stands for them. ∇p_s is p_s(1 − p_s) times
        the log-odds' gradient, which changes slowly along a path."""
        spread = self.choice.spread
        if spread is None:
            return self.moves if slack is slopes.slack else self._scaled(slack / np.maximum(slopes.slack, _LEAST_SLACK))
        weights = spread * (slack / np.maximum(slopes.slack, _LEAST_SLACK)[:, None])
        moves = _product(weights.astype(np.float32), self.moves.reshape(len(slack), -1))
        return np.asarray(moves.reshape(-1, *self.moves.shape[1:]))

    def _scaled(self, times: DoubleArray) -> FloatArray:
        return np.asarray(self.moves * times.astype(np.float32)[:, None, None, None])

    def gain(self, gains: DoubleArray) -> float:
        """gains (a,) of the asked steps → of all: a step that is not asked gains the share of its change that those
        beside it do."""
        share = np.clip(gains / np.where(self.rises == 0.0, 1.0, self.rises), 0.0, 1.0)
        return float(gains.sum() + share @ self.choice.still)


def _product(first: FloatArray, second: FloatArray) -> FloatArray:
    """first (m, n) @ second (n, k), in pieces that BLAS computes in this thread: its others would go on spinning, for
    60 ms of CPU time an answer, on cores that are other requests'."""
    columns = max(1, _ALONE // first.size)
    pieces = [first @ second[:, start : start + columns] for start in range(0, second.shape[1], columns)]
    return np.concatenate(pieces, axis=1)
