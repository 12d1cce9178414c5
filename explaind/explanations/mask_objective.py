"""The frozen objective of a path mask, its gradient and its certificate (DESIGN §3.4).

J(m) = (1/T)·Σ_i [p_s(x_i + (Gm)⊙(x_{i+1} − x_i)) − p_s(x_i)] − α·mean(Gm), always over the whole path.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.explanations.blur import Blur
from explaind.explanations.morph_path import PathPoints
from explaind.explanations.path_attribution import PathGradient
from explaind.explanations.types import DoubleArray


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
    """J for one path of n images. Each evaluation is one batched gradient of n − 1 images."""

    def __init__(
        self, gradient: PathGradient, points: PathPoints, self_class: int, blur: Blur, sparsity: float
    ) -> None:
        self._gradient, self._self_class, self._blur, self._sparsity = gradient, self_class, blur, sparsity
        self._images = points.images[:-1]
        self._steps = points.images[1:] - self._images
        probabilities = points.probabilities(self_class)
        self._before = probabilities[:-1]
        self.change = float(probabilities[-1] - probabilities[0])
        self.penalty = self._penalty()

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
        slopes, probabilities = self._gradient(self._images + applied.astype(np.float32) * self._steps)
        gain = float((probabilities[:, self._self_class] - self._before).sum()) / self.change
        rise = np.einsum("nchw,nchw->hw", slopes, self._steps, dtype=np.float64) / self.change
        return MaskState(
            mask=mask,
            objective=gain - self._sparsity * float(applied.mean()),
            slope=self._blur.adjoint(rise) - self._sparsity * self.penalty,
            gain=gain,
            area=float(applied.mean()),
        )

    def rescaled(self, state: MaskState, scale: float) -> DoubleArray:
        """∇J (H, W) with the penalty `scale` times as heavy."""
        return np.asarray(state.slope - (scale - 1.0) * self._sparsity * self.penalty)

    def applied(self, mask: DoubleArray) -> DoubleArray:
        """G m, as the path sees it (H, W)."""
        return np.clip(self._blur.apply(mask), 0.0, 1.0)
