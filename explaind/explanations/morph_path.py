"""The path of a mask: codes from z_other to z_self, decoded and classified (DESIGN §3.4)."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.explanations import two_class
from explaind.explanations.budget import Budget
from explaind.explanations.interpolation import interpolate
from explaind.explanations.models import MorphingModels
from explaind.explanations.prediction import softmax
from explaind.explanations.types import DoubleArray, FloatArray, Interpolation, Morph


@dataclass(frozen=True)
class PathPoints:
    """Points of a curve: positions (n,) in [0, 1]; images (n, C, H, W); logits (n, K).

    drawn (n,): which of them were decoded and classified; None: all. The others' images may be black and their logits
    interpolated (see `sparse_path`).
    """

    positions: DoubleArray
    images: FloatArray
    logits: NDArray[np.floating]
    drawn: NDArray[np.bool_] | None = None

    def probabilities(self, of: int) -> DoubleArray:
        """p_of of each image, (n,)."""
        return self._chances[:, of]

    def log_odds(self, of: int) -> DoubleArray:
        """log p_of − log(1 − p_of) of each image, (n,); within ±690."""
        others = np.ones(self._chances.shape[1])
        others[of] = 0.0
        return np.asarray(_log(self._chances[:, of]) - _log((self._chances * others).sum(axis=1)))

    @functools.cached_property
    def _chances(self) -> DoubleArray:
        return softmax(self.logits)

    def entropies(self, first: int, second: int) -> DoubleArray:
        """Over {first, second}, (n,) in bits."""
        return two_class.entropy(self.logits, first, second)


class MorphPath:
    """The curve from z_other (position 0) to z_self (position 1), for whoever needs points of it."""

    def __init__(self, models: MorphingModels, morph: Morph, kind: Interpolation, budget: Budget) -> None:
        self._models, self._kind, self._budget = models, kind, budget
        self._ends, self._decoded = (morph.z_other, morph.z_self), morph.decoded

    def points(self, positions: DoubleArray) -> PathPoints:
        """positions (n,) in [0, 1] → decoded and classified. Raises Cancelled."""
        codes = interpolate(*self._ends, positions, self._kind)
        self._budget.raise_if_cancelled()
        images = self._models.autoencoder.decode(np.ascontiguousarray(codes, dtype=np.float32))
        self._budget.raise_if_cancelled()
        return PathPoints(positions=positions, images=images, logits=self._models.classifier.logits(images))

    def whole(self, positions: DoubleArray) -> PathPoints:
        """As `points`, of positions (n,) from 0 to 1: the ends as the morph has decoded and classified them."""
        if self._decoded is None or len(positions) < 3:
            return self.points(positions)
        between, (first, last) = self.points(positions[1:-1]), self._decoded
        return PathPoints(
            positions=positions,
            images=np.concatenate([first.image, between.images, last.image]),
            logits=np.concatenate([first.logits[None], between.logits, last.logits[None]]),
        )


def _log(chances: DoubleArray) -> DoubleArray:
    return np.asarray(np.log(np.maximum(chances, 1e-300)))
