"""The integrated gradient of p_s along a curve of images, on as many nodes as completeness needs (DESIGN §3.4).

A = Σ_segments ∇p_s(middle) ⊙ (end − start); exactly, ΣA = T = p_s(last) − p_s(first). Where a segment's part
differs most from the change of p_s across it, the segment is halved; the gap is never rescaled away.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from explaind.explanations.budget import Budget
from explaind.explanations.models import ClassifierGradient
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.types import DoubleArray, FloatArray

TOLERANCE = 0.01
FIRST_SEGMENTS = 24
MOST_SEGMENTS = 400  # bounds the work where p_s jumps; the gap is then returned as it is
_HALVED_A_ROUND = 8


@dataclass(frozen=True, slots=True)
class PathAttribution:
    """values (C, H, W): A; gap: |ΣA − T|; segments: how many gradients it rests on."""

    values: DoubleArray
    gap: float
    segments: int


@dataclass(frozen=True, slots=True)
class _Node:
    position: float
    image: FloatArray
    probability: float


@dataclass(frozen=True, slots=True)
class _Segment:
    """part (C, H, W): ∇p_s(middle) ⊙ (end − start); error: Σ part − Δp_s."""

    start: _Node
    end: _Node
    part: DoubleArray
    error: float


class PathGradient:
    """∇p_s along segments of one path; all segments of a call are one batch."""

    def __init__(self, gradient: ClassifierGradient, self_class: int, class_count: int, budget: Budget) -> None:
        self._gradient, self._budget = gradient, budget
        self._weights = np.zeros((1, class_count), np.float32)
        self._weights[0, self_class] = 1.0

    def __call__(self, images: FloatArray) -> tuple[FloatArray, DoubleArray]:
        """images (B, C, H, W) → ∇p_s (B, C, H, W), probabilities (B, K). Raises Cancelled."""
        self._budget.raise_if_cancelled()
        weights = np.repeat(self._weights, len(images), axis=0)
        slopes, probabilities = self._gradient.probability_gradient(images, weights)
        return slopes, probabilities.astype(np.float64)


def integrate(
    gradient: PathGradient, path: MorphPath, points: PathPoints, self_class: int, budget: Budget
) -> PathAttribution:
    """points: the path's own images, in order, from which the first 24 equal segments are taken.

    Halves segments until the gap is at most 0.01, 400 segments are reached or the deadline is near.
    """
    segments = _measure(gradient, _first_nodes(points, self_class))
    while _gap(segments) > TOLERANCE and len(segments) < MOST_SEGMENTS and not budget.nearly_spent():
        segments = _halve(gradient, path, segments, self_class)
    values = np.sum([segment.part for segment in segments], axis=0)
    return PathAttribution(values=values, gap=_gap(segments), segments=len(segments))


def _gap(segments: Sequence[_Segment]) -> float:
    """The differences of p_s add up to T, so the errors add up to ΣA − T."""
    return abs(sum(segment.error for segment in segments))


def _first_nodes(points: PathPoints, self_class: int) -> list[tuple[_Node, _Node]]:
    last = len(points.images) - 1
    chosen = np.unique(np.rint(np.linspace(0, last, min(FIRST_SEGMENTS, last) + 1)).astype(int))
    nodes = _nodes(points, self_class)
    return [(nodes[i], nodes[j]) for i, j in itertools.pairwise(chosen)]


def _nodes(points: PathPoints, self_class: int) -> list[_Node]:
    columns = zip(points.positions, points.images, points.probabilities(self_class), strict=True)
    return [_Node(float(position), image, float(probability)) for position, image, probability in columns]


def _measure(gradient: PathGradient, pairs: Sequence[tuple[_Node, _Node]]) -> list[_Segment]:
    starts, ends = np.stack([start.image for start, _ in pairs]), np.stack([end.image for _, end in pairs])
    slopes, _ = gradient(0.5 * (starts + ends))
    parts = slopes.astype(np.float64) * (ends.astype(np.float64) - starts)
    return [_segment(start, end, part) for (start, end), part in zip(pairs, parts, strict=True)]


def _segment(start: _Node, end: _Node, part: DoubleArray) -> _Segment:
    return _Segment(start, end, part, float(part.sum()) - (end.probability - start.probability))


def _halve(gradient: PathGradient, path: MorphPath, segments: Sequence[_Segment], self_class: int) -> list[_Segment]:
    """Replaces the segments with the largest |error| by their halves; the order of the list does not matter."""
    ranked = sorted(segments, key=lambda segment: -abs(segment.error))
    worst, kept = ranked[:_HALVED_A_ROUND], ranked[_HALVED_A_ROUND:]
    middles = [0.5 * (segment.start.position + segment.end.position) for segment in worst]
    between = _nodes(path.points(np.array(middles)), self_class)
    halves: Iterable[tuple[_Node, _Node]] = (
        pair
        for segment, node in zip(worst, between, strict=True)
        for pair in ((segment.start, node), (node, segment.end))
    )
    return kept + _measure(gradient, list(halves))
