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
    """A mask (H, W) in [0, 1] with J, ∇J (H, W) and the two terms of J there."""

    mask: DoubleArray
    objective: float
    slope: DoubleArray
    gain: float
    area: float

    @property
    def gap(self) -> float:
        """Frank–Wolfe gap max_v ⟨∇J, v − m⟩ over the box, at least 0; 0 at a stationary mask.

        J is not concave: it certifies a stationary point, not the best one.
        """
        up, down = np.maximum(self.slope, 0.0), np.maximum(-self.slope, 0.0)
        return float(np.sum(up * (1.0 - self.mask) + down * self.mask))


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
        self._images = points.images[:-1]
        self._steps = points.images[1:] - self._images
        probabilities = points.probabilities(self_class)
        self._before = probabilities[:-1]
        self.change = float(probabilities[-1] - probabilities[0])
        self.penalty = self._penalty()
        self._sloping, self._gaining = np.arange(len(self._steps)), np.arange(0)
        if sparing is not None:
            variable = _variability(probabilities) / max(abs(self.change), 1e-30)
            self._sloping = np.flatnonzero(variable > min(_SLOPE_FROM, 0.5 * float(variable.max())))
            self._gaining = np.setdiff1d(np.flatnonzero(variable > _GAIN_FROM), self._sloping)

    def _penalty(self) -> DoubleArray:
        """Gradient of mean(Gm): Gᵀ1/(HW)."""
        height, width = self._images.shape[-2:]
        return np.asarray(self._blur.adjoint(np.ones((height, width))) / (height * width))

    def closed_form(self, attribution: DoubleArray) -> DoubleArray:
        """attribution (C, H, W): A → m = 1[Gᵀ(ΣA over channels)/T > α·Gᵀ1/(HW)], the best mask where the gain is
        linear in m."""
        gain = self._blur.adjoint(attribution.sum(axis=0)) / self.change
        return np.where(gain > self._sparsity * self.penalty, 1.0, 0.0)

    def evaluate(self, mask: DoubleArray) -> MaskState:
        """mask (H, W) in [0, 1] → J, ∇J and the gap there. Raises Cancelled."""
        applied = self._blur.apply(mask)
        narrow = applied.astype(np.float32)
        rise, gain = self._sloped(narrow)
        gain = (gain + self._gained(narrow)) / self.change
        return MaskState(
            mask=mask,
            objective=gain - self._sparsity * float(applied.mean()),
            slope=self._blur.adjoint(rise / self.change) - self._sparsity * self.penalty,
            gain=gain,
            area=float(applied.mean()),
        )

    def _sloped(self, applied: FloatArray) -> tuple[DoubleArray, float]:
        """Σ ∇p_s ⊙ step over channels (H, W), and Σ of the gains, over the steps whose gradient is asked for."""
        slopes, probabilities = self._gradient(self._masked(self._sloping, applied))
        rise = np.einsum("nchw,nchw->hw", slopes, self._steps[self._sloping], dtype=np.float64)
        return rise, float((probabilities[:, self._self_class] - self._before[self._sloping]).sum())

    def _gained(self, applied: FloatArray) -> float:
        """Σ of the gains over the steps that only a probability is asked for."""
        if self._classifier is None or not len(self._gaining):
            return 0.0
        logits = self._classifier.logits(self._masked(self._gaining, applied))
        return float((softmax(logits)[:, self._self_class] - self._before[self._gaining]).sum())

    def _masked(self, steps: NDArray[np.intp], applied: FloatArray) -> FloatArray:
        """x_i + (Gm)⊙(x_{i+1} − x_i) of those steps."""
        return self._images[steps] + applied * self._steps[steps]

    def rescaled(self, state: MaskState, scale: float) -> DoubleArray:
        """∇J (H, W) with the penalty `scale` times as heavy."""
        return np.asarray(state.slope - (scale - 1.0) * self._sparsity * self.penalty)

    def applied(self, mask: DoubleArray) -> DoubleArray:
        """G m, as the path sees it (H, W)."""
        return np.clip(self._blur.apply(mask), 0.0, 1.0)


def _variability(probabilities: DoubleArray) -> DoubleArray:
    """p_s (n,) along a path → how far p_s can move in each step (n − 1,): the larger p_s(1 − p_s) of its ends, or how
    far it does move, where it jumps."""
    slack = probabilities * (1.0 - probabilities)
    return np.maximum(np.maximum(slack[1:], slack[:-1]), np.abs(np.diff(probabilities)))
