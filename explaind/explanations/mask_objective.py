"""The frozen objective of a path mask, its gradient and its certificate (DESIGN §3.4).

J(m) = (1/T)·Σ_i [p_s(x_i + (Gm)⊙(x_{i+1} − x_i)) − p_s(x_i)] − α·mean(Gm), always over the whole path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.blur import Blur
from explaind.explanations.models import Classifier
from explaind.explanations.morph_path import PathPoints
from explaind.explanations.path_attribution import PathGradient
from explaind.explanations.prediction import softmax
from explaind.explanations.types import DoubleArray, FloatArray

_SLOPE_FROM, _GAIN_FROM = 1e-3, 1e-5  # of T


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


@dataclass(frozen=True, slots=True)
class _Steps:
    """n steps of a path. starts, moves (n, C, H, W): x_i and x_{i+1} − x_i; before (n,): p_s(x_i)."""

    starts: FloatArray
    moves: FloatArray
    before: DoubleArray

    @classmethod
    def chosen(cls, images: FloatArray, probabilities: DoubleArray, places: NDArray[np.intp]) -> _Steps:
        """Of the path's images (N, C, H, W) and their p_s (N,), the steps from those places."""
        starts = images.take(places, axis=0)
        return cls(starts, images.take(places + 1, axis=0) - starts, probabilities[places])

    def masked(self, applied: FloatArray) -> FloatArray:
        """x_i + (Gm)⊙(x_{i+1} − x_i)."""
        return self.starts + applied * self.moves

    def __len__(self) -> int:
        return len(self.before)


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
        """sparing: the classifier, where steps along which p_s hardly moves are to cost less: their gradient is taken
        as 0 below a variability of 1e-3 of T, and below 1e-5 their gain. It bounds both, since p_s's slope is
        p_s(1 − p_s) times its log-odds' slope. Over 500 digits J differed by 2e-5 at most, the gap by 7e-5.
        """
        self._gradient, self._self_class, self._blur, self._sparsity = gradient, self_class, blur, sparsity
        self._classifier = sparing
        probabilities = points.probabilities(self_class)
        self.change = float(probabilities[-1] - probabilities[0])
        sloping = np.ones(len(probabilities) - 1, np.bool_)
        gaining = ~sloping
        if sparing is not None:
            variable = _variability(probabilities) / max(abs(self.change), 1e-30)
            sloping = variable > min(_SLOPE_FROM, 0.5 * float(variable.max()))
            gaining = (variable > _GAIN_FROM) & ~sloping
        self._sloping = _Steps.chosen(points.images, probabilities, np.flatnonzero(sloping))
        self._gaining = _Steps.chosen(points.images, probabilities, np.flatnonzero(gaining))

    def closed_form(self, attribution: DoubleArray) -> DoubleArray:
        """attribution (C, H, W): A → m = 1[Gᵀ(ΣA over channels)/T > α·Gᵀ1/(HW)], the best mask where the gain is
        linear in m."""
        gain = self._blur.adjoint(attribution.sum(axis=0)) / self.change
        return np.where(gain > self._sparsity * self._blur.mean_slope, 1.0, 0.0)

    def evaluate(self, mask: DoubleArray) -> MaskState:
        """mask (H, W) in [0, 1] → J, ∇J and the gap there. Raises Cancelled."""
        applied = self._blur.apply(mask)
        narrow = applied.astype(np.float32)
        rise, gain = self._sloped(narrow)
        gain = (gain + self._gained(narrow)) / self.change
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

    def _sloped(self, applied: FloatArray) -> tuple[DoubleArray, float]:
        """Σ ∇p_s ⊙ step over channels (H, W), and Σ of the gains, over the steps whose gradient is asked for."""
        slopes, probabilities = self._gradient(self._sloping.masked(applied))
        rise = (slopes * self._sloping.moves).sum(axis=(0, 1), dtype=np.float64)
        return rise, float((probabilities[:, self._self_class] - self._sloping.before).sum())

    def _gained(self, applied: FloatArray) -> float:
        """Σ of the gains over the steps that only a probability is asked for."""
        if self._classifier is None or not len(self._gaining):
            return 0.0
        logits = self._classifier.logits(self._gaining.masked(applied))
        return float((softmax(logits)[:, self._self_class] - self._gaining.before).sum())

    def rescaled(self, state: MaskState, scale: float) -> DoubleArray:
        """∇J (H, W) with the penalty `scale` times as heavy."""
        return np.asarray(state.slope - (scale - 1.0) * self._sparsity * self._blur.mean_slope)

    def applied(self, mask: DoubleArray) -> DoubleArray:
        """G m, as the path sees it (H, W)."""
        return np.clip(self._blur.apply(mask), 0.0, 1.0)


def _gap(mask: DoubleArray, slope: DoubleArray) -> float:
    up, down = np.maximum(slope, 0.0), np.maximum(-slope, 0.0)
    return float((up * (1.0 - mask) + down * mask).sum())


def _variability(probabilities: DoubleArray) -> DoubleArray:
    """p_s (n,) along a path → how far p_s can move in each step (n − 1,): the larger p_s(1 − p_s) of its ends, or how
    far it does move, where it jumps."""
    slack = probabilities * (1.0 - probabilities)
    return np.maximum(np.maximum(slack[1:], slack[:-1]), np.abs(probabilities[1:] - probabilities[:-1]))
