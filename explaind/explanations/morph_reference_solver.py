"""REFERENCE morphing: the source's Adam on −l_o + α(‖z‖ − n_o)², the penalty scaled by running averages [PM]."""

from __future__ import annotations

import numpy as np

from explaind.explanations.adam import Adam
from explaind.explanations.morph_walk import Standing
from explaind.explanations.types import DoubleArray, FloatArray

RATE = 1e-3


class LikelihoodDescent:
    """weight: α. norm: n_o, the mean norm of sampled codes of the target.

    The penalty is brought to the size of the logit by the ratio of their running means, our reading of the source.
    """

    steps = 5000
    near = False

    def __init__(self, weight: float, norm: float) -> None:
        self._weight, self._norm = weight, norm
        self._adam = Adam(RATE)
        self._logits, self._penalties = 0.0, 0.0

    def batch(self, code: DoubleArray) -> DoubleArray:
        return code[None]

    def rival(self, target: int, logits: FloatArray) -> int | None:
        return None

    def advance(self, code: DoubleArray, gradient: DoubleArray, standing: Standing) -> DoubleArray:
        length = float(np.linalg.norm(code))
        excess = length - self._norm
        self._logits += abs(standing.target_logit)
        self._penalties += excess**2
        scale = self._logits / self._penalties if self._penalties > 0.0 else 0.0
        outward = code / length if length > 0.0 else np.zeros_like(code)
        return code + self._adam.step(-gradient[0] + self._weight * scale * 2.0 * excess * outward)
