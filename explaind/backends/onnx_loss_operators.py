"""The losses and code statistics of an anomaly score as ONNX operators, in float64 (DESIGN §3.2).

The same mathematics as `reconstruction_losses`, `structural_similarity` and `anomaly_features`, which it is tested
against. In float32 the variances of SSIM and BCE − H(x), small differences of large sums, would lose half their digits.
No product with a scalar stands beside a MatMul: onnxruntime makes one operator of both, whose factor is a float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.backends.onnx_joining import DOUBLE, Joined
from explaind.explanations.reconstruction_losses import CLAMP
from explaind.explanations.structural_similarity import C1, C2, TAPS, valid_blur

LEAST_OPERATORS = 18
"""Version of ONNX's operators from which on a reduction takes its axes as an input."""
_SMALLEST_DEVIATION = 1e-12  # as in `code_statistics`
_SMALLEST_NORM = 1e-300


@dataclass(frozen=True, slots=True)
class Sizes:
    """C×H×W of an image, at least TAPS high and wide, and D of its code."""

    channels: int
    height: int
    width: int
    latents: int

    @property
    def values(self) -> int:
        """Of an image, channels and all."""
        return self.channels * self.height * self.width


class Statistics:
    """Appends operators to `graph`. Everything is (B, …), float64."""

    def __init__(self, graph: Joined, sizes: Sizes) -> None:
        self._graph, self._sizes, self._add = graph, sizes, graph.add
        self._last = graph.constant([2])

    def of(self, images: str, rebuilt: str, mean: str, deviation: str) -> str:
        """images, rebuilt (B, C, H, W), mean, deviation (B, D), float32 → (B, S), named by `measurement.STATISTICS`."""
        x, y = self._add("Cast", images, to=DOUBLE), self._add("Cast", rebuilt, to=DOUBLE)
        xx, yy, xy = (self._add("Mul", *factors) for factors in ((x, x), (y, y), (x, y)))
        difference = self._flat(self._add("Sub", x, y))
        absolute = self._summed("ReduceSum", self._add("Abs", difference))
        codes, norms = self._codes(mean, deviation)
        means = self._means(
            self._summed("ReduceSumSquare", difference),
            absolute,
            self._similarity(x, y, self._add("Add", xx, yy), xy),
            *self._cross_entropies(x, y),
            codes,
        )
        return self._add("Concat", means, self._cosine_distance(xx, yy, xy, absolute), norms, axis=1)

    def _means(self, *sums: str) -> str:
        """What is a weighted sum of the sums: the columns as far as `kl`."""
        weights, rest = _weights_of_sums(self._sizes)
        product = self._add("MatMul", self._add("Concat", *sums, axis=1), self._graph.constant(weights))
        return self._add("Add", product, self._graph.constant(rest))

    def _similarity(self, x: str, y: str, squares: str, product: str) -> str:
        """The mean of SSIM over valid pixels and channels (B, 1).

        Constants go under the blur, whose weights add up to 1: with A = 2·μx·μy + C1 and B = μx² + μy² + C1, the
        numerator is A·(blur(2xy + C1 + C2) − A), the denominator B·(blur(x² + y² + C1 + C2) − B).
        """
        both = self._graph.constant(C1 + C2)
        doubled = self._add("Add", self._add("Add", product, product), both)
        maps = self._add("Concat", x, y, self._add("Add", squares, both), doubled, axis=1)
        blurred = self._graph.split("Split", self._blurred(maps), outputs=4, axis=1, num_outputs=4)
        mean_x, mean_y, squares, product = blurred
        means, c1 = self._add("Mul", mean_x, mean_y), self._graph.constant(C1)
        each = self._add("Add", *(self._add("Mul", mean, mean) for mean in (mean_x, mean_y)))
        upper, lower = self._add("Add", self._add("Add", means, means), c1), self._add("Add", each, c1)
        numerator = self._add("Mul", upper, self._add("Sub", product, upper))
        denominator = self._add("Mul", lower, self._add("Sub", squares, lower))
        ratio = self._add("Div", numerator, denominator)
        return self._summed("ReduceMean", self._add("Reshape", ratio, self._graph.constant([0, 1, -1])))

    def _blurred(self, maps: str) -> str:
        rows = self._graph.constant(valid_blur(self._sizes.height))
        columns = self._graph.constant(np.ascontiguousarray(valid_blur(self._sizes.width).T))
        return self._add("MatMul", rows, self._add("MatMul", maps, columns))

    def _cross_entropies(self, x: str, y: str) -> list[str]:
        """Σ x·log p + (1 − x)·log(1 − p) for p = x and y (B, 2), for colour also between the channels' means (B, 1)."""
        pair = self._add("Reshape", self._add("Concat", x, y, axis=1), self._graph.constant([0, 2, -1]))
        inside = self._add("Clip", pair, self._graph.constant(CLAMP), self._graph.constant(1 - CLAMP))
        log_not = self._add("Log", self._add("Sub", self._graph.constant(1.0), inside))
        log_odds = self._add("Sub", self._add("Log", inside), log_not)
        terms = self._add("Add", self._add("Mul", self._flat(x), log_odds), log_not)
        within = self._summed("ReduceSum", terms)
        return [within] if self._sizes.channels == 1 else [within, self._between_channels(x, log_odds, log_not)]

    def _between_channels(self, x: str, log_odds: str, log_not: str) -> str:
        """BCE is bilinear in (x, log y): the mean over pairs of channels is that of the channels' means."""
        channels = self._sizes.channels
        apart = self._graph.constant([0, 2, channels, -1])
        axis, second = self._graph.constant([2]), self._graph.constant([1])
        odds, nots = (
            self._add(
                "ReduceMean", self._add("Gather", self._add("Reshape", each, apart), second, axis=1), axis, keepdims=0
            )
            for each in (log_odds, log_not)
        )
        mean_x = self._flat(self._add("ReduceMean", x, second, keepdims=1))
        return self._summed("ReduceSum", self._add("Add", self._add("Mul", mean_x, odds), nots))

    def _cosine_distance(self, xx: str, yy: str, xy: str, absolute: str) -> str:
        """(B, 1) in [0, 1]. Two black images are alike (0), a black and another are not (1)."""
        norm_x, norm_y, product = (self._summed("ReduceSum", self._flat(each)) for each in (xx, yy, xy))
        norms = self._add("Sqrt", self._add("Mul", norm_x, norm_y))
        cosine = self._add("Div", product, self._add("Max", norms, self._graph.constant(_SMALLEST_NORM)))
        one, zero = self._graph.constant(1.0), self._graph.constant(0.0)
        distance = self._add("Sub", one, self._add("Min", cosine, one))
        return self._add("Where", self._add("Equal", absolute, zero), zero, distance)

    def _codes(self, mean: str, deviation: str) -> tuple[str, str]:
        """Σμ², Σσ², Σ log σ (B, 3); ‖μ‖, ‖σ‖ (B, 2)."""
        pair = self._add("Concat", mean, deviation, axis=1)
        pair = self._add("Reshape", self._add("Cast", pair, to=DOUBLE), self._graph.constant([0, 2, -1]))
        squares = self._summed("ReduceSumSquare", pair)
        wide = self._add("Cast", deviation, to=DOUBLE)
        logs = self._add("Log", self._add("Max", wide, self._graph.constant(_SMALLEST_DEVIATION)))
        log_sum = self._add("ReduceSum", logs, self._graph.constant([1]), keepdims=1)
        return self._add("Concat", squares, log_sum, axis=1), self._add("Sqrt", squares)

    def _flat(self, pixels: str) -> str:
        """(B, C, H, W) → (B, 1, C·H·W)."""
        return self._add("Reshape", pixels, self._graph.constant([0, 1, -1]))

    def _summed(self, reduction: str, rows: str) -> str:
        """(B, n, …) → (B, n)."""
        return self._add(reduction, rows, self._last, keepdims=0)


def _weights_of_sums(sizes: Sizes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How mse, mae, ssim, pairs, color, excess and kl (7) are made of the sums: weights (8 or 9, 7), and what is added.

    The sums: squares and absolutes of differences, ssim, entropy of x, cross entropies, Σμ², Σσ², Σ log σ.
    """
    pixel, grey = 1 / sizes.values, sizes.channels == 1
    place = 1 / (sizes.height * sizes.width)
    columns = {
        "squares": (pixel, 0, 0, 0, 0, 0, 0),
        "absolutes": (0, pixel, 0, 0, 0, 0, 0),
        "ssim": (0, 0, 1, 0, 0, 0, 0),
        "entropy": (0, 0, 0, 0, 0, pixel, 0),
        "within channels": (0, 0, 0, -pixel if grey else 0, -pixel, -pixel, 0),
        "between channels": (0, 0, 0, -place, 0, 0, 0),
        "mean squares": (0, 0, 0, 0, 0, 0, 0.5),
        "deviation squares": (0, 0, 0, 0, 0, 0, 0.5),
        "log deviations": (0, 0, 0, 0, 0, 0, -1),
    }
    if grey:
        del columns["between channels"]
    rest = np.array([0, 0, 0, 0, 0, 0, -sizes.latents / 2])
    return np.array(list(columns.values()), np.float64), rest


def fits(height: int, width: int) -> bool:
    """Whether SSIM's window fits into an image."""
    return min(height, width) >= TAPS
