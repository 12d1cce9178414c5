"""A path's points, drawn only where the decision between its classes moves (DESIGN §3.4).

Along much of a path the classifier is sure: p_s moves there by less than a five-thousandth of its whole change. Those
points are neither decoded nor classified; their logits are interpolated. A look at 13 of them says where that is, point
by point. Over 800 digits 55 of 100 points are drawn; probabilities differ by 8e-6 at most, entropies by 1.1e-4 bit.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.interpolation import cubic
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.path_steps import Places
from explaind.explanations.step_choice import variability
from explaind.explanations.types import DoubleArray

_SURE_BELOW = 2e-4
"""Of T: below it, what p_s can move in a step counts as nothing."""
_LOOKS = 13
"""Points of the first look. Over 300 digits, 25: 60 points drawn for 57; 9: 60, and errors twice as large."""
_WORTH_A_LOOK = 75
"""Points of a path, under which all are drawn at once."""
_BEND = 1.5
"""How far a lead may be off the straight line between two nodes, in t(1 − t) of what it changes by nearby: by
three eighths of that in the middle. Over 400 digits, 2: 1.5 points more, entropies within 9e-5; 1: 1.8 points less, but
p of one digit is off by more than 1e-5."""

Mask = NDArray[np.bool_]


def points(path: MorphPath, count: int, pair: tuple[int, int], *, every_image: bool = False) -> PathPoints:
    """count points at equal distances, for the explained class and the other. Raises Cancelled.

    Drawn is each at which p_s or p(s | {s, o}) may not be sure, the points beside it, and those of the look.
    every_image: the others have images and logits of their own too, for who wants to see them.
    """
    positions = np.linspace(0.0, 1.0, count)
    if count < _WORTH_A_LOOK:
        return path.whole(positions)
    seen = _looked_at(count)
    first = path.whole(positions[seen])
    drawn = _with_neighbours(_unsure_between(first, seen, pair))
    drawn[seen] = True
    found = _with_more(path, positions, first, seen, drawn, every_image=every_image)
    if _moves_unseen(found.probabilities(pair[0]), drawn):  # the look was not close enough
        return path.whole(positions)
    return found


@functools.lru_cache(maxsize=64)
def _looked_at(count: int) -> Places:
    """Of `count` points in order, from the first to the last; read-only."""
    places = np.rint(np.linspace(0, count - 1, _LOOKS)).astype(np.intp)
    places.flags.writeable = False
    return places


def _with_neighbours(places: Mask) -> Mask:
    """So that each step that touches one of them has an image at either end."""
    wider = places.copy()
    wider[1:] |= places[:-1]
    wider[:-1] |= places[1:]
    return wider


def _with_more(
    path: MorphPath, positions: DoubleArray, first: PathPoints, seen: Places, drawn: Mask, *, every_image: bool
) -> PathPoints:
    """All points: `first` at `seen`, the other drawn ones, and the rest interpolated, or drawn as well."""
    inner, rest = drawn.copy(), np.flatnonzero(~drawn)
    inner[seen] = False
    wanted = np.flatnonzero(inner)
    if every_image:
        wanted = np.concatenate([wanted, rest])
    second = path.points(positions[wanted])
    images = np.zeros((len(positions), *first.images.shape[1:]), np.float32)
    logits = np.zeros((len(positions), first.logits.shape[1]))
    images[seen], logits[seen] = first.images, first.logits
    images[wanted], logits[wanted] = second.images, second.logits
    if len(rest) and not every_image:
        known = np.flatnonzero(drawn)
        logits[rest] = cubic(known, logits[known], rest)
    return PathPoints(positions, images, logits, drawn)


def _unsure_between(first: PathPoints, seen: Places, pair: tuple[int, int]) -> Mask:
    """first: the points `seen`, of a path of n → of each of its points (n,), whether the decision may move there."""
    probabilities = first.probabilities(pair[0])
    change = abs(float(probabilities[-1] - probabilities[0]))
    sure = -math.log(_SURE_BELOW * change) if change > 0.0 else math.inf
    logits = first.logits.astype(np.float64)
    leads = np.stack([first.log_odds(pair[0]), logits[:, pair[0]] - logits[:, pair[1]]])
    return np.asarray(_unsure(leads, seen, sure).any(axis=0))


def _unsure(leads: DoubleArray, seen: Places, sure: float) -> Mask:
    """leads (m, k): log-odds at the nodes `seen` (k,) → of each point up to the last node (m, n), whether they may come
    within ±sure of 0 there, off the straight line by what `_BEND` says of their change across it or beside it."""
    speed = np.abs(leads[:, 1:] - leads[:, :-1])
    nearby = speed.copy()
    np.maximum(nearby[:, 1:], speed[:, :-1], out=nearby[:, 1:])
    np.maximum(nearby[:, :-1], speed[:, 1:], out=nearby[:, :-1])
    lengths = np.diff(seen)
    segment = np.append(np.arange(len(lengths)).repeat(lengths), len(lengths) - 1)
    along = (np.arange(len(segment)) - seen[segment]) / lengths[segment]
    straight = leads[:, segment] * (1.0 - along) + leads[:, segment + 1] * along
    least = np.abs(straight) - _BEND * along * (1.0 - along) * nearby[:, segment]
    return np.asarray(~(least > sure) | (leads[:, segment] * leads[:, segment + 1] <= 0.0))


def _moves_unseen(probabilities: DoubleArray, drawn: Mask) -> bool:
    """Whether p_s moves, as far as can be told, where it was taken to be sure."""
    changes = probabilities[1:] - probabilities[:-1]
    most = _SURE_BELOW * abs(float(probabilities[-1] - probabilities[0]))
    unseen = ~(drawn[:-1] & drawn[1:])
    return bool((variability(probabilities, changes)[unseen] > most).any())
