"""Adam in NumPy (Kingma and Ba 2015, algorithm 1, with the usual β and ε): what the REFERENCE solvers descend with."""

from __future__ import annotations

import numpy as np

from explaind.explanations.types import DoubleArray


class Adam:
    """State of one descent; `rate` is the learning rate: too large oscillates, too small stops short."""

    def __init__(self, rate: float, *, decay: tuple[float, float] = (0.9, 0.999), epsilon: float = 1e-8) -> None:
        self._rate, self._decay, self._epsilon = rate, decay, epsilon
        self._count = 0
        self._mean: DoubleArray | float = 0.0
        self._square: DoubleArray | float = 0.0

    def step(self, gradient: DoubleArray) -> DoubleArray:
        """gradient of what is minimised → what to add to the variable, same shape."""
        first, second = self._decay
        self._count += 1
        self._mean = first * self._mean + (1 - first) * gradient
        self._square = second * self._square + (1 - second) * gradient**2
        mean = self._mean / (1 - first**self._count)
        square = self._square / (1 - second**self._count)
        return np.asarray(-self._rate * mean / (np.sqrt(square) + self._epsilon))
