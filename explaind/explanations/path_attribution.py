"""The integrated gradient of p_s along a curve of images, on as many nodes as completeness needs (DESIGN §3.4).

A = Σ_segments ∇p_s(middle) ⊙ (end − start); exactly, ΣA = T = p_s(last) − p_s(first). Where a segment's part
differs most from the change of p_s across it, the segment is halved; the gap is never rescaled away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.explanations.budget import Budget
from explaind.explanations.models import ClassifierGradient
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.path_segments import Places, Segmentation, choose
from explaind.explanations.types import DoubleArray, FloatArray

TOLERANCE = 0.01
MOST_SEGMENTS = 400  # bounds the work where p_s jumps; the gap is then returned as it is
_HALVED_A_ROUND = 8
_LEFT_BY_HALVING = 0.25  # of a segment's error
_AIM = 0.5  # of the tolerance

Rows = slice | Places


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

    @classmethod
    def of(cls, points: PathPoints, self_class: int) -> _Nodes:
        return cls(points.positions, points.images, points.probabilities(self_class))

    def with_more(self, points: PathPoints, self_class: int) -> _Nodes:
        return _Nodes(
            np.concatenate([self.positions, points.positions]),
            np.concatenate([self.images, points.images]),
            np.concatenate([self.probabilities, points.probabilities(self_class)]),
        )


@dataclass(frozen=True, slots=True)
class _Segments:
    """n of them, between two nodes each. parts (n, C, H, W): ∇p_s(middle) ⊙ (end − start); errors (n,): Σ part less
    Δp_s."""

    starts: Places
    ends: Places
    parts: FloatArray
    errors: DoubleArray

    def __len__(self) -> int:
        return len(self.errors)

    def __getitem__(self, rows: Rows) -> _Segments:
        return _Segments(self.starts[rows], self.ends[rows], self.parts[rows], self.errors[rows])

    def with_more(self, others: _Segments) -> _Segments:
        return _Segments(
            np.concatenate([self.starts, others.starts]),
            np.concatenate([self.ends, others.ends]),
            np.concatenate([self.parts, others.parts]),
            np.concatenate([self.errors, others.errors]),
        )


@dataclass(frozen=True, slots=True)
class _Still:
    """The segments along which the decision hardly moves, together: part (C, H, W), and by how much of p_s it may be
    wrong, since it is taken from elsewhere: all that p_s changes there."""

    part: DoubleArray
    error: float

    @classmethod
    def beside(cls, moving: _Segments, changes: DoubleArray) -> _Still:
        """changes (n,): Δp_s of the still ones next to each of the n moving ones, where each pixel is taken to have the
        same share of it."""
        sums = moving.parts.reshape(len(moving), -1).sum(axis=1, dtype=np.float64)
        times = np.clip(changes / np.where(sums == 0.0, 1.0, sums), 0.0, 2.0)
        edges = np.flatnonzero(times)
        part = (moving.parts[edges] * times[edges, None, None, None]).sum(axis=0)
        return cls(part, float(np.abs(changes).sum()))


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
    """points: the path's own, in order, from which the first segments are taken (see `path_segments`).

    Halves segments until the gap is at most 0.01, 400 segments are reached or the deadline is near.
    """
    nodes = _Nodes.of(points, self_class)
    segments, still = _first_segments(gradient, nodes, choose(points, self_class))
    # The differences of p_s add up to T, so the errors add up to ΣA − T.
    while (gap := abs(float(segments.errors.sum())) + still.error) > TOLERANCE:
        if len(segments) >= MOST_SEGMENTS or budget.nearly_spent():
            break
        nodes, segments = _halve(gradient, path, nodes, segments, self_class)
    values = segments.parts.sum(axis=0, dtype=np.float64) + still.part
    return PathAttribution(values=values, gap=gap, segments=len(segments))


def _first_segments(gradient: PathGradient, nodes: _Nodes, chosen: Segmentation) -> tuple[_Segments, _Still]:
    segments = _measure(gradient, nodes, chosen.starts, chosen.ends)
    middles = 0.5 * (chosen.starts + chosen.ends)
    nearest = np.abs(chosen.still[:, :1] - middles).argmin(axis=1)
    changes = nodes.probabilities[chosen.still[:, 1]] - nodes.probabilities[chosen.still[:, 0]]
    beside: DoubleArray = np.bincount(nearest, weights=changes, minlength=len(middles)).astype(np.float64)
    return segments, _Still.beside(segments, beside)


def _measure(gradient: PathGradient, nodes: _Nodes, starts: Places, ends: Places) -> _Segments:
    first, last = nodes.images[starts], nodes.images[ends]
    slopes, _ = gradient(0.5 * (first + last))
    parts = slopes * (last - first)
    sums = parts.reshape(len(parts), -1).sum(axis=1, dtype=np.float64)
    return _Segments(starts, ends, parts, sums - (nodes.probabilities[ends] - nodes.probabilities[starts]))


def _halve(
    gradient: PathGradient, path: MorphPath, nodes: _Nodes, segments: _Segments, self_class: int
) -> tuple[_Nodes, _Segments]:
    """Replaces some segments by their halves; the order of the segments does not matter."""
    rows = _to_halve(segments.errors)
    whole = np.ones(len(segments), np.bool_)
    whole[rows] = False
    worst, kept = segments[rows], segments[np.flatnonzero(whole)]
    nodes, between = _between(path, nodes, worst, self_class)
    starts, ends = np.concatenate([worst.starts, between]), np.concatenate([between, worst.ends])
    return nodes, kept.with_more(_measure(gradient, nodes, starts, ends))


def _to_halve(errors: DoubleArray) -> Places:
    """Of those that err the way their sum does, the largest: as many as should bring it well below the tolerance."""
    total = float(errors.sum())
    towards = np.flatnonzero(errors * np.sign(total) >= 0.0)
    ranked = towards[(-np.abs(errors[towards])).argsort(kind="stable")][:_HALVED_A_ROUND]
    left = np.abs(total - (1.0 - _LEFT_BY_HALVING) * np.cumsum(errors[ranked]))
    enough = np.flatnonzero(left <= _AIM * TOLERANCE)
    return ranked[: int(enough[0]) + 1] if len(enough) else ranked


def _between(path: MorphPath, nodes: _Nodes, segments: _Segments, self_class: int) -> tuple[_Nodes, Places]:
    """A node in the middle of each segment (n,): one of the nodes where there is one, else a new one."""
    starts, ends = nodes.positions[segments.starts], nodes.positions[segments.ends]
    positions = 0.5 * (starts + ends)
    distances = np.abs(nodes.positions - positions[:, None])
    places = distances.argmin(axis=1)
    new = distances[np.arange(len(places)), places] > 1e-6 * np.abs(ends - starts)
    if new.any():
        places[new] = len(nodes.positions) + np.arange(np.count_nonzero(new))
        nodes = nodes.with_more(path.points(positions[new]), self_class)
    return nodes, places
