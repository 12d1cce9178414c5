"""The integrated gradient of p_s along a curve of images, at as many images as completeness needs (DESIGN §3.4).

A = Σ_i ∇p_s((x_i + x_{i+1})/2) ⊙ (x_{i+1} − x_i); exactly, ΣA = T = p_s(last) − p_s(first). Where p_s hardly moves
only some of the steps have a gradient of their own (see `step_choice`). While ΣA misses too much, the steps whose part
differs most from the change of p_s across them are halved; the gap is never rescaled away.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.explanations.budget import Budget
from explaind.explanations.models import ClassifierGradient
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.path_steps import PathSteps, Places, StepSlopes
from explaind.explanations.types import DoubleArray, FloatArray

TOLERANCE = 0.01
MOST_SEGMENTS = 400  # bounds the work where p_s jumps; the gap is then returned as it is
_HALVED_A_ROUND = 8
_LEFT_BY_HALVING = 0.25  # of a segment's error
_AIM = 0.5  # of the tolerance

Rows = slice | Places


@dataclass(frozen=True, slots=True)
class PathAttribution:
    """values (C, H, W): A; gap: |ΣA − T|; segments: how many gradients it rests on; slopes: those of the path's own
    steps, before any was halved."""

    values: DoubleArray
    gap: float
    segments: int
    slopes: StepSlopes


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
class _Rest:
    """The steps without a gradient of their own: part (C, H, W) of A; missed: what Σ part misses of the change of p_s
    across them. steps: how many of them are asked, for whose part those beside them stand; 0: the part is 0."""

    part: DoubleArray
    missed: float
    steps: int

    @classmethod
    def of(cls, steps: PathSteps, slopes: StepSlopes) -> _Rest:
        sloped = len(slopes.values)
        others = len(steps.rises) - sloped
        if not others:
            return cls.without(steps)
        slack = np.concatenate([slopes.slack, steps.middle_slack[sloped:]])
        beside = steps.moves_of(slopes, slack) - steps.moves[:sloped]
        part = (slopes.values * beside).sum(axis=0, dtype=np.float64)
        return cls(part, float(part.sum()) - (steps.change - float(steps.rises[:sloped].sum())), others)

    @classmethod
    def without(cls, steps: PathSteps) -> _Rest:
        """Where all asked steps have one."""
        return cls(np.zeros(steps.moves.shape[1:]), float(steps.rises.sum()) - steps.change, 0)


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
    gradient: PathGradient, path: MorphPath, points: PathPoints, steps: PathSteps, self_class: int, budget: Budget
) -> PathAttribution:
    """points: the path's own, in order; steps: those that are asked about.

    Halves steps until the gap is at most 0.01, 400 segments are reached or the deadline is near.
    """
    nodes, slopes = _Nodes.of(points, self_class), _slopes_half_way(gradient, steps, self_class)
    segments, rest = _own(steps, slopes), _Rest.of(steps, slopes)
    # The rises of p_s add up to T, so what each misses of them adds up to ΣA − T.
    while (gap := abs(float(segments.errors.sum()) + rest.missed)) > TOLERANCE:
        if len(segments) >= MOST_SEGMENTS or budget.nearly_spent():
            break
        if rest.steps and abs(rest.missed) > _AIM * TOLERANCE:
            starts = steps.choice.asked[-rest.steps :]
            segments = segments.with_more(_measure(gradient, nodes, starts, starts + 1))
            rest = _Rest.without(steps)
        else:
            nodes, segments = _halve(gradient, path, nodes, segments, self_class)
    values = segments.parts.sum(axis=0, dtype=np.float64) + rest.part
    return PathAttribution(values=values, gap=gap, segments=len(segments), slopes=slopes)


def _slopes_half_way(gradient: PathGradient, steps: PathSteps, self_class: int) -> StepSlopes:
    sloped = steps.choice.sloped
    values, probabilities = gradient(steps.starts[:sloped] + np.float32(0.5) * steps.moves[:sloped])
    chance = probabilities[:, self_class]
    return StepSlopes(values, chance * (1.0 - chance))


def _own(steps: PathSteps, slopes: StepSlopes) -> _Segments:
    """The steps with a gradient of their own."""
    starts = steps.choice.asked[: len(slopes.values)]
    parts = slopes.values * steps.moves[: len(starts)]
    return _Segments(starts, starts + 1, parts, _sums(parts) - steps.rises[: len(starts)])


def _measure(gradient: PathGradient, nodes: _Nodes, starts: Places, ends: Places) -> _Segments:
    first, last = nodes.images[starts], nodes.images[ends]
    slopes, _ = gradient(0.5 * (first + last))
    parts = slopes * (last - first)
    return _Segments(starts, ends, parts, _sums(parts) - (nodes.probabilities[ends] - nodes.probabilities[starts]))


def _sums(parts: FloatArray) -> DoubleArray:
    """(n, C, H, W) → (n,)."""
    return np.asarray(parts.reshape(len(parts), -1).sum(axis=1, dtype=np.float64))


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
