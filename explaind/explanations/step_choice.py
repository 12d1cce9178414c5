"""Which steps of a path a mask's objective asks about, and what those say about the others (DESIGN §3.4).

p_s can move in a step by about its variability, p_s(1 − p_s): its slope is that times the slope of its log-odds, which
changes slowly along the path. So the less a step can move p_s, the fewer of its kind are asked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.types import DoubleArray

_GAIN_FROM = 1.5e-4
"""Variability, of T, from which the gain of each step is asked for; of a step under it, its neighbours' share of its
change is taken. Over 300 digits J differs by 5e-5 at most; with 2e-4 by 2e-4, for 2 images of 48 less."""
_SLOPE_EVERY = ((0.05, 1), (0.02, 2), (2e-3, 4))
"""From this variability on, the integral asks for a gradient every so many steps of a path of 100. Over 800 digits that
are 17; the mask has an IoU of 0.9985 with that of all 99 in the mean, of 0.973 at least, and 0.9995 of its J at least.
All of those above 0.02 and every third of the others: 20 and 0.9992; every other one from 0.02 on: 11 and 0.992."""
_MOST_SLOPED = 90
"""Of a path along which p_s moves everywhere, and so little in each step; with more they are further apart. 60: of 200
letters with networks trained briefly some gaps are off by 8e-4."""
_STEEP_FROM = 0.05
"""Variability, of T, from which a certificate asks for a step's gradient anew, at the masked image. Over 800 digits
that are 12, and the gap is off by 1.1e-4 at most; from 0.1 on 9, and 2.2e-4; with none 7.5e-4."""
_STEPS = 99
_FAR = 1_000_000  # steps; beyond any path


@dataclass(frozen=True, slots=True)
class StepChoice:
    """Of n steps. asked (a,): places of those whose gain is asked for, of the first `sloped` the gradient too, of the
    first `steep` once more.

    spread (sloped, a): what the log-odds' gradients of the sloped ones count for in each asked step; None: each has its
    own. still (a,): the change of p_s in the steps not asked, by the asked one beside them.
    """

    asked: NDArray[np.intp]
    steep: int
    sloped: int
    spread: DoubleArray | None
    still: DoubleArray

    @classmethod
    def every(cls, count: int) -> StepChoice:
        """Of n steps, all."""
        return cls(np.arange(count), count, count, None, np.zeros(count))

    @classmethod
    def sparing(cls, probabilities: DoubleArray, drawn: NDArray[np.bool_] | None) -> StepChoice:
        """probabilities (n + 1,): p_s along the path; drawn (n + 1,): where there are images; None: everywhere."""
        changes = probabilities[1:] - probabilities[:-1]
        variable = variability(probabilities, changes) / max(abs(float(probabilities[-1] - probabilities[0])), 1e-30)
        if drawn is not None:
            variable *= drawn[:-1] & drawn[1:]
        asked = np.flatnonzero(variable >= min(_GAIN_FROM, 0.5 * float(variable.max())))
        chosen = _spaced(asked, variable[asked], len(changes) / _STEPS)
        if (times := math.ceil(np.count_nonzero(chosen) / _MOST_SLOPED)) > 1:
            chosen = _spaced(asked, variable[asked], times * max(1.0, len(changes) / _STEPS))
        steep = chosen & (variable[asked] >= _STEEP_FROM)
        order = np.lexsort((~steep, ~chosen))
        sloped = int(np.count_nonzero(chosen))
        changes[asked] = 0.0
        rest = np.flatnonzero(changes)
        still = (_weights(asked, rest) * changes[rest]).sum(axis=1)
        return cls(
            asked=asked[order],
            steep=int(np.count_nonzero(steep)),
            sloped=sloped,
            spread=None if sloped == len(asked) else _spread(asked, chosen, order),
            still=still[order],
        )


def _spaced(places: NDArray[np.intp], variable: DoubleArray, density: float) -> NDArray[np.bool_]:
    """places (a,) with their variability → which of them are sloped. density: steps for one of a path of 100."""
    every, most = np.zeros(len(places), np.intp), 0.5 * float(variable.max())
    for least, count in reversed(_SLOPE_EVERY):
        every[variable >= min(least, most)] = max(1, round(count * density))
    chosen, last = np.zeros(len(places), np.bool_), -_FAR
    for index, (place, distance) in enumerate(zip(places.tolist(), every.tolist(), strict=True)):
        if distance and place - last >= distance:
            chosen[index], last = True, place
    return chosen


def _spread(asked: NDArray[np.intp], chosen: NDArray[np.bool_], order: NDArray[np.intp]) -> DoubleArray:
    """What each chosen step counts for in each asked one (s, a), both in `order`, in which the chosen come first."""
    ranks = (np.cumsum(chosen) - 1)[order[: np.count_nonzero(chosen)]]
    return np.asarray(_weights(asked[chosen], asked)[ranks[:, None], order])


def _weights(nodes: NDArray[np.intp], at: NDArray[np.intp]) -> DoubleArray:
    """nodes (k,), rising; at (m,) → weights (k, m) of linear interpolation between nodes; the nearest one's beyond."""
    where = np.interp(at, nodes, np.arange(len(nodes)))
    return np.asarray(np.maximum(0.0, 1.0 - np.abs(where - np.arange(len(nodes))[:, None])))


def variability(probabilities: DoubleArray, changes: DoubleArray) -> DoubleArray:
    """p_s (n,) along a path → how far p_s can move in each step (n − 1,): the larger p_s(1 − p_s) of its ends, or how
    far it does move, where it jumps."""
    slack = probabilities * (1.0 - probabilities)
    return np.maximum(np.maximum(slack[1:], slack[:-1]), np.abs(changes))
