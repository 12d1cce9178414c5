"""The integrated gradient of p_s along a curve of images, on as many nodes as completeness needs (DESIGN §3.4).

A = Σ_segments ∇p_s(middle) ⊙ (end − start); exactly, ΣA = T = p_s(last) − p_s(first). Where a segment's part
differs most from the change of p_s across it, the segment is halved; the gap is never rescaled away.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.budget import Budget
from explaind.explanations.models import ClassifierGradient
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.types import DoubleArray, FloatArray

TOLERANCE = 0.01
FIRST_SEGMENTS = 24
MOST_SEGMENTS = 400  # bounds the work where p_s jumps; the gap is then returned as it is
_HALVED_A_ROUND = 8

Rows = slice | NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class PathAttribution:
    """values (C, H, W): A; gap: |ΣA − T|; segments: how many gradients it rests on."""

    values: DoubleArray
    gap: float
    segments: int


@dataclass(frozen=True, slots=True)
class _Nodes:
    """Points of the path: positions (n,) in [0, 1]; images (n, C, H, W); probabilities (n,): p_s there."""

    positions: DoubleArray
    images: FloatArray
    probabilities: DoubleArray

    def __getitem__(self, rows: Rows) -> _Nodes:
        return _Nodes(self.positions[rows], self.images[rows], self.probabilities[rows])

    def with_more(self, others: _Nodes) -> _Nodes:
        return _Nodes(
            np.concatenate([self.positions, others.positions]),
            np.concatenate([self.images, others.images]),
            np.concatenate([self.probabilities, others.probabilities]),
        )


@dataclass(frozen=True, slots=True)
class _Segments:
    """n of them. parts (n, C, H, W): ∇p_s(middle) ⊙ (end − start); errors (n,): Σ part − Δp_s."""

    starts: _Nodes
    ends: _Nodes
    parts: FloatArray
    errors: DoubleArray

    def __len__(self) -> int:
        return len(self.errors)

    def __getitem__(self, rows: Rows) -> _Segments:
        return _Segments(self.starts[rows], self.ends[rows], self.parts[rows], self.errors[rows])

    def with_more(self, others: _Segments) -> _Segments:
        return _Segments(
            self.starts.with_more(others.starts),
            self.ends.with_more(others.ends),
            np.concatenate([self.parts, others.parts]),
            np.concatenate([self.errors, others.errors]),
        )

    @property
    def gap(self) -> float:
        """The differences of p_s add up to T, so the errors add up to ΣA − T."""
        return abs(float(self.errors.sum()))


class PathGradient:
    """∇p_s along segments of one path; all segments of a call are one batch."""

    def __init__(self, gradient: ClassifierGradient, self_class: int, class_count: int, budget: Budget) -> None:
        self._gradient, self._budget = gradient, budget
        self._weights = np.zeros((1, class_count), np.float32)
        self._weights[0, self_class] = 1.0

    def __call__(self, images: FloatArray) -> tuple[FloatArray, DoubleArray]:
        """images (B, C, H, W) → ∇p_s (B, C, H, W), probabilities (B, K). Raises Cancelled."""
        self._budget.raise_if_cancelled()
        weights = self._weights.repeat(len(images), axis=0)
        slopes, probabilities = self._gradient.probability_gradient(images, weights)
        return slopes, probabilities.astype(np.float64)


def integrate(
    gradient: PathGradient, path: MorphPath, points: PathPoints, self_class: int, budget: Budget
) -> PathAttribution:
    """points: the path's own images, in order, from which the first 24 equal segments are taken.

    Halves segments until the gap is at most 0.01, 400 segments are reached or the deadline is near.
    """
    nodes = _nodes(points, self_class)[_first_nodes(len(points.images))]
    segments = _measure(gradient, nodes[:-1], nodes[1:])
    while segments.gap > TOLERANCE and len(segments) < MOST_SEGMENTS and not budget.nearly_spent():
        segments = _halve(gradient, path, segments, self_class)
    values = segments.parts.sum(axis=0, dtype=np.float64)
    return PathAttribution(values=values, gap=segments.gap, segments=len(segments))


@functools.lru_cache(maxsize=64)
def _first_nodes(count: int) -> NDArray[np.intp]:
    """Of `count` points in order, the ends of the first segments; read-only."""
    last = count - 1
    nodes = np.unique(np.rint(np.linspace(0, last, min(FIRST_SEGMENTS, last) + 1)).astype(np.intp))
    nodes.flags.writeable = False
    return nodes


def _nodes(points: PathPoints, self_class: int) -> _Nodes:
    return _Nodes(points.positions, points.images, points.probabilities(self_class))


def _measure(gradient: PathGradient, starts: _Nodes, ends: _Nodes) -> _Segments:
    slopes, _ = gradient(0.5 * (starts.images + ends.images))
    parts = slopes * (ends.images - starts.images)
    sums = parts.reshape(len(parts), -1).sum(axis=1, dtype=np.float64)
    return _Segments(starts, ends, parts, sums - (ends.probabilities - starts.probabilities))


def _halve(gradient: PathGradient, path: MorphPath, segments: _Segments, self_class: int) -> _Segments:
    """Replaces the segments with the largest |error| by their halves; the order of the segments does not matter."""
    ranked = (-np.abs(segments.errors)).argsort(kind="stable")
    worst, kept = segments[ranked[:_HALVED_A_ROUND]], segments[ranked[_HALVED_A_ROUND:]]
    between = _nodes(path.points(0.5 * (worst.starts.positions + worst.ends.positions)), self_class)
    halves = _measure(gradient, worst.starts.with_more(between), between.with_more(worst.ends))
    return kept.with_more(halves)
