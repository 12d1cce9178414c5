"""The frozen objective of a path mask, its gradient and its certificate (DESIGN §3.4).

J(m) = (1/T)·Σ_i [p_s(x_i + (Gm)⊙(x_{i+1} − x_i)) − p_s(x_i)] − α·mean(Gm), always over the whole path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.explanations.blur import Blur
from explaind.explanations.models import Classifier
from explaind.explanations.morph_path import PathPoints
from explaind.explanations.path_attribution import PathGradient
from explaind.explanations.prediction import softmax
from explaind.explanations.step_choice import StepChoice
from explaind.explanations.types import DoubleArray, FloatArray

_ALONE = 200_000
"""Products of a piece; OpenBLAS wakes its threads from 262,144 on."""


@dataclass(frozen=True, slots=True)
class MaskState:
    """A mask (H, W) in [0, 1] with J, ∇J (H, W) and the two terms of J there.

    gap: Frank–Wolfe's, max_v ⟨∇J, v − m⟩ over the box, at least 0; 0 at a stationary mask. J is not concave: it
    certifies a stationary point, not the best one.
    """

    mask: DoubleArray
    objective: float
    slope: DoubleArray
    gain: float
    area: float
    gap: float


class MaskObjective:
    """J for one path of n images. Each evaluation is one batched gradient of n − 1 images, or less: see `sparing`."""

    def __init__(
        self,
        gradient: PathGradient,
        points: PathPoints,
        self_class: int,
        blur: Blur,
        sparsity: float,
        *,
        sparing: Classifier | None = None,
    ) -> None:
        """sparing: the classifier, where steps along which p_s hardly moves are to cost less: see `step_choice`. Over
        300 digits J differed by 5e-5 at most, the gap by as much.
        """
        self._gradient, self._self_class, self._blur, self._sparsity = gradient, self_class, blur, sparsity
        self._classifier = sparing
        probabilities = points.probabilities(self_class)
        self.change = float(probabilities[-1] - probabilities[0])
        spare = sparing is not None
        self._choice = (
            StepChoice.sparing(probabilities, points.drawn) if spare else StepChoice.every(len(probabilities) - 1)
        )
        asked = self._choice.asked
        self._starts = points.images[asked]
        self._moves = points.images[asked + 1] - self._starts
        self._before = probabilities[asked]
        self._rises = probabilities[asked + 1] - self._before

    def closed_form(self, attribution: DoubleArray) -> DoubleArray:
        """attribution (C, H, W): A → m = 1[Gᵀ(ΣA over channels)/T > α·Gᵀ1/(HW)], the best mask where the gain is
        linear in m."""
        gain = self._blur.adjoint(attribution.sum(axis=0)) / self.change
        return np.where(gain > self._sparsity * self._blur.mean_slope, 1.0, 0.0)

    def evaluate(self, mask: DoubleArray) -> MaskState:
        """mask (H, W) in [0, 1] → J, ∇J and the gap there. Raises Cancelled."""
        applied = self._blur.apply(mask)
        rise, gain = self._rise_and_gain(applied.astype(np.float32))
        gain /= self.change
        area = float(applied.mean())
        slope = self._blur.adjoint(rise / self.change) - self._sparsity * self._blur.mean_slope
        return MaskState(
            mask=mask,
            objective=gain - self._sparsity * area,
            slope=slope,
            gain=gain,
            area=area,
            gap=_gap(mask, slope),
        )

    def _rise_and_gain(self, applied: FloatArray) -> tuple[DoubleArray, float]:
        """applied (H, W): Gm → Σ ∇p_s ⊙ step over channels (H, W), and Σ of the gains, both over all steps."""
        masked, sloped = self._starts + applied * self._moves, self._choice.sloped
        slopes, probabilities = self._gradient(masked[:sloped])
        after = np.empty(len(masked))
        after[:sloped] = probabilities[:, self._self_class]
        if self._classifier is not None and sloped < len(masked):
            after[sloped:] = softmax(self._classifier.logits(masked[sloped:]))[:, self._self_class]
        rise = (slopes * self._moves_of_slopes(after)).sum(axis=(0, 1), dtype=np.float64)
        return rise, self._gain(after - self._before)

    def _moves_of_slopes(self, after: DoubleArray) -> FloatArray:
        """after (a,): p_s at the masked images → what each gradient is multiplied with (s, C, H, W): its own step, and
        of steps beside it as much as it stands for them. ∇p_s is p_s(1 − p_s) times the log-odds' gradient."""
        spread = self._choice.spread
        if spread is None:
            return self._moves
        slack = after * (1.0 - after)
        weights = (spread * (slack / np.maximum(slack[: len(spread)], 1e-12)[:, None])).astype(np.float32)
        moves = _product(weights, self._moves.reshape(len(after), -1))
        return np.asarray(moves.reshape(-1, *self._moves.shape[1:]))

    def _gain(self, gains: DoubleArray) -> float:
        """gains (a,) of the asked steps → of all: a step that is not asked gains the share of its change that those
        beside it do."""
        share = np.clip(gains / np.where(self._rises == 0.0, 1.0, self._rises), 0.0, 1.0)
        return float(gains.sum() + share @ self._choice.still)

    def rescaled(self, state: MaskState, scale: float) -> DoubleArray:
        """∇J (H, W) with the penalty `scale` times as heavy."""
        return np.asarray(state.slope - (scale - 1.0) * self._sparsity * self._blur.mean_slope)

    def applied(self, mask: DoubleArray) -> DoubleArray:
        """G m, as the path sees it (H, W)."""
        return np.clip(self._blur.apply(mask), 0.0, 1.0)


def _gap(mask: DoubleArray, slope: DoubleArray) -> float:
    up, down = np.maximum(slope, 0.0), np.maximum(-slope, 0.0)
    return float((up * (1.0 - mask) + down * mask).sum())


def _product(first: FloatArray, second: FloatArray) -> FloatArray:
    """first (m, n) @ second (n, k), in pieces that BLAS computes in this thread: its others would go on spinning, for
    60 ms of CPU time an answer, on cores that are other requests'."""
    columns = max(1, _ALONE // first.size)
    pieces = [first @ second[:, start : start + columns] for start in range(0, second.shape[1], columns)]
    return np.concatenate(pieces, axis=1)
