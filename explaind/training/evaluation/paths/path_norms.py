"""How long codes stay on the way from one to the other, by kind of curve (DESIGN §3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explaind.explanations.interpolation import interpolate
from explaind.explanations.types import DoubleArray, Interpolation
from explaind.training.evaluation.paths.pairs import Pair

POSITIONS = np.linspace(0.0, 1.0, 51)


@dataclass(frozen=True, slots=True, kw_only=True)
class NormSpread:
    """Of the ratio at each path's worst place: medians over paths of its least and its largest, and the extremes."""

    least: float
    largest: float
    least_of_all: float
    largest_of_all: float


def norm_ratios(pairs: Sequence[Pair], kind: Interpolation) -> DoubleArray:
    """(pairs, 51): the norm on the way over the norm that goes evenly from the start's to the end's.

    1 is a code as long as the data's own on both sides of it.
    """
    rows = np.empty((len(pairs), len(POSITIONS)))
    for row, pair in zip(rows, pairs, strict=True):
        first, last = np.linalg.norm(pair.start), np.linalg.norm(pair.end)
        even = np.maximum((1 - POSITIONS) * first + POSITIONS * last, 1e-12)
        row[:] = np.linalg.norm(interpolate(pair.start, pair.end, POSITIONS, kind), axis=1) / even
    return rows


def spread(ratios: DoubleArray) -> NormSpread:
    least, largest = ratios.min(axis=1), ratios.max(axis=1)
    return NormSpread(
        least=float(np.median(least)),
        largest=float(np.median(largest)),
        least_of_all=float(least.min()),
        largest_of_all=float(largest.max()),
    )
