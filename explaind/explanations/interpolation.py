"""Curves between two codes (DESIGN §3.4). SLERP keeps the norm between the ends' norms; RADIAL is the source's. And
curves through many points."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.types import DoubleArray, Interpolation

_COLLINEAR = 1e-6  # sine of the angle below which a great circle is not determined


def interpolate(start: DoubleArray, end: DoubleArray, positions: DoubleArray, kind: Interpolation) -> DoubleArray:
    """start, end (D,); positions (n,) in [0, 1], 0 at `start` → codes (n, D)."""
    t = positions[:, None]
    if kind is Interpolation.RADIAL:
        return _radial(start, end, t)
    if kind is Interpolation.SLERP:
        return _slerp(start, end, t)
    return _linear(start, end, t)


def cubic(nodes: NDArray[np.intp], values: DoubleArray, at: NDArray[np.intp]) -> DoubleArray:
    """nodes (n,), rising, n ≥ 3; values (n, K) there; at (m,), between the first and the last node → (m, K).

    Cubic between any two nodes, with the slopes at them of the parabolas through three nodes.
    """
    slopes = _slopes(nodes, values)
    left = np.minimum(np.searchsorted(nodes, at, side="right") - 1, len(nodes) - 2)
    width = (nodes[left + 1] - nodes[left])[:, None]
    t = (at - nodes[left])[:, None] / width
    s = 1.0 - t
    ends = s * s * (1.0 + 2.0 * t) * values[left] + t * t * (1.0 + 2.0 * s) * values[left + 1]
    return np.asarray(ends + width * s * t * (s * slopes[left] - t * slopes[left + 1]))


def _slopes(nodes: NDArray[np.intp], values: DoubleArray) -> DoubleArray:
    """nodes (n,), values (n, K) → at each node that of the parabola through it and its neighbours (n, K); np.gradient's
    to second order, in a fourth of its time."""
    widths = np.diff(nodes)[:, None]
    chords = (values[1:] - values[:-1]) / widths
    bends = (chords[1:] - chords[:-1]) / (widths[1:] + widths[:-1])
    slopes = np.empty_like(values)
    slopes[:-2] = chords[:-1] - widths[:-1] * bends
    slopes[-2:] = chords[-1] + np.stack([-widths[-1], widths[-1]]) * bends[-1]
    slopes[1:-1] = chords[:-1] + widths[:-1] * bends
    return slopes


def _linear(start: DoubleArray, end: DoubleArray, t: DoubleArray) -> DoubleArray:
    return np.asarray((1 - t) * start + t * end)


def _radial(start: DoubleArray, end: DoubleArray, t: DoubleArray) -> DoubleArray:
    """√(1−a)·start + √a·end with a = sin²(πt/2): the source's curve, at finite velocity."""
    angle = 0.5 * math.pi * t
    return np.asarray(np.cos(angle) * start + np.sin(angle) * end)


def _slerp(start: DoubleArray, end: DoubleArray, t: DoubleArray) -> DoubleArray:
    """Directions along the great circle, norms linear. A zero end has no direction: a straight line then."""
    norms = _length(start), _length(end)
    if min(norms) == 0.0:
        return _linear(start, end, t)
    u, v = start / norms[0], end / norms[1]
    across = v - (u @ v) * u
    angle = math.atan2(_length(across), float(u @ v))
    if math.sin(angle) < _COLLINEAR:
        return _linear(start, end, t) if angle < 1.0 else _half_turn(u, norms, t)
    directions = np.cos(angle * t) * u + np.sin(angle * t) * across / _length(across)
    return _with_norms(directions, norms, t)


def _half_turn(direction: DoubleArray, norms: tuple[float, float], t: DoubleArray) -> DoubleArray:
    """Opposite ends: any great circle joins them; take the one by the axis most across."""
    if len(direction) == 1:
        return _linear(norms[0] * direction, -norms[1] * direction, t)
    axis = np.zeros_like(direction)
    axis[np.argmin(np.abs(direction))] = 1.0
    across = axis - (axis @ direction) * direction
    directions = np.cos(math.pi * t) * direction + np.sin(math.pi * t) * across / _length(across)
    return _with_norms(directions, norms, t)


def _with_norms(directions: DoubleArray, norms: tuple[float, float], t: DoubleArray) -> DoubleArray:
    return np.asarray(directions * ((1 - t) * norms[0] + t * norms[1]))


def _length(code: DoubleArray) -> float:
    """Euclidean; as np.linalg.norm, without its checks."""
    return math.sqrt(float(code @ code))
