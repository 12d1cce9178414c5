"""Entropy and gradient along a path: is the classifier's slope steep where it cannot tell two classes apart? [PM]"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.explanations import two_class
from explaind.explanations.interpolation import interpolate
from explaind.explanations.models import MorphingModels
from explaind.explanations.prediction import softmax
from explaind.explanations.types import DoubleArray, FloatArray, Interpolation
from explaind.training.evaluation.paths.pairs import Pair

# Below these, float32 gradients hold nothing: of both classes' probability together, of p(1 − p) between the two.
_LEAST_BOTH, _LEAST_SPREAD = 1e-12, 1e-30


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """Along the n steps of a path. images (n, C, H, W). entropies (n,): over the two classes, bits. slopes (n,):
    ‖∇_x p‖ of the first class's probability between the two; logit_slopes (n,): ‖∇_x (l_a − l_b)‖.

    The first is the second times p(1 − p), which is itself nearly the entropy: it must follow it. The second need not.
    window: first and last step (1-based, may lie outside 1…n) of the entropy's: mean ± 1.96 weighted deviations.
    """

    images: FloatArray
    entropies: DoubleArray
    slopes: DoubleArray
    logit_slopes: DoubleArray
    window: tuple[float, float]

    @property
    def correlation(self) -> float:
        return correlation(self.entropies, self.slopes)

    @property
    def logit_correlation(self) -> float:
        return correlation(self.entropies, self.logit_slopes)

    @property
    def third(self) -> int:
        """0, 1, 2: the third of the path in which the entropy's window starts, as the source groups its paths."""
        return third(self.window[0], len(self.entropies))


def trace(models: MorphingModels, pair: Pair, kind: Interpolation, steps: int) -> Trace:
    codes = interpolate(pair.start, pair.end, np.linspace(0.0, 1.0, steps), kind)
    images = models.autoencoder.decode(np.ascontiguousarray(codes, dtype=np.float32))
    logits = models.classifier.logits(images)
    entropies = two_class.entropy(logits, *pair.classes)
    slopes = _slopes(models, images, logits, pair.classes)
    first, second = (two_class.probability(logits, a, b) for a, b in (pair.classes, pair.classes[::-1]))
    mean, half = two_class.window(entropies)
    return Trace(
        images=images,
        entropies=entropies,
        slopes=slopes,
        logit_slopes=slopes / np.maximum(first * second, _LEAST_SPREAD),
        window=(mean - half, mean + half),
    )


def correlation(first: DoubleArray, second: DoubleArray) -> float:
    """Pearson's; nan where one of them is constant."""
    a, b = first - first.mean(), second - second.mean()
    scale = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / scale if scale > 0 else float("nan")


def third(window_start: float, steps: int) -> int:
    return int(np.clip(3 * (window_start - 1) / max(steps - 1, 1), 0, 2))


def _slopes(models: MorphingModels, images: FloatArray, logits: FloatArray, classes: tuple[int, int]) -> DoubleArray:
    """‖∇_x p_a/(p_a + p_b)‖ = ‖(p_b ∇p_a − p_a ∇p_b)/(p_a + p_b)²‖ of each image."""
    weights = np.zeros(logits.shape, np.float64)
    probabilities = softmax(logits)
    pa, pb = probabilities[:, classes[0]], probabilities[:, classes[1]]
    both = np.maximum(pa + pb, _LEAST_BOTH) ** 2
    weights[:, classes[0]], weights[:, classes[1]] = pb / both, -pa / both
    slopes, _ = models.classifier_gradient.probability_gradient(images, weights.astype(np.float32))
    return np.asarray(np.linalg.norm(slopes.reshape(len(slopes), -1).astype(np.float64), axis=1))
