"""A path's points, drawn only where the decision between its classes moves (DESIGN §3.4).

Along much of a path the classifier is sure: p_s moves there by less than a five-thousandth of its whole change. Those
points are neither decoded nor classified, but for the ends of the first segments; their logits are interpolated. Over
500 digits 65 of 100 points are drawn; probabilities differ by 4e-6 at most, entropies by 5e-5 bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.interpolation import cubic
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.path_attribution import first_nodes
from explaind.explanations.types import DoubleArray

_SURE_BELOW = 2e-4  # of T: p(1 − p) beside which a decision is taken as not moving
_WORTH_A_LOOK = 3  # points a first node, under which all are drawn at once


def points(path: MorphPath, count: int, pair: tuple[int, int], *, every_image: bool = False) -> PathPoints:
    """count points at equal distances, for the explained class and the other. Raises Cancelled.

    Drawn are all of a segment between first nodes, unless both p_s and p(s | {s, o}) are sure at its ends and, at the
    speed at which they change nearby, stay so between them. every_image: the others have images and logits of their
    own too, for who wants to see them.
    """
    positions, nodes = np.linspace(0.0, 1.0, count), first_nodes(count)
    if count < _WORTH_A_LOOK * len(nodes):
        return path.points(positions)
    first = path.points(positions[nodes])
    drawn = np.zeros(count, np.bool_)
    drawn[nodes] = True
    between = np.flatnonzero(np.repeat(_moving(first, pair), np.diff(nodes)))
    between = between[~drawn[between]]
    drawn[between] = True
    images = np.zeros((count, *first.images.shape[1:]), np.float32)
    logits = np.zeros((count, first.logits.shape[1]))
    images[nodes], logits[nodes] = first.images, first.logits
    if len(between):
        second = path.points(positions[between])
        images[between], logits[between] = second.images, second.logits
    rest = np.flatnonzero(~drawn)
    if every_image and len(rest):
        third = path.points(positions[rest])
        images[rest], logits[rest] = third.images, third.logits
    elif len(rest):
        known = np.flatnonzero(drawn)
        logits[rest] = cubic(known, logits[known], rest)
    return PathPoints(positions=positions, images=images, logits=logits, drawn=drawn)


def _moving(nodes: PathPoints, pair: tuple[int, int]) -> NDArray[np.bool_]:
    """n nodes → of each segment between two of them (n − 1,), whether the decision may move in it."""
    probabilities = nodes.probabilities(pair[0])
    change = abs(float(probabilities[-1] - probabilities[0]))
    sure = -math.log(_SURE_BELOW * change) if change > 0.0 else math.inf
    logits = nodes.logits.astype(np.float64)
    return _unsure(_lead_over_all(logits, pair[0]), sure) | _unsure(logits[:, pair[0]] - logits[:, pair[1]], sure)


def _unsure(lead: DoubleArray, sure: float) -> NDArray[np.bool_]:
    """lead (n,): log-odds at the nodes → of each segment, whether they may come within ±sure of 0 there: half as far
    again as they change across it or a segment beside it."""
    speed = np.abs(lead[1:] - lead[:-1])
    nearby = np.maximum(speed, np.maximum(np.append(speed[1:], 0.0), np.append(0.0, speed[:-1])))
    least = np.minimum(np.abs(lead[1:]), np.abs(lead[:-1])) - 0.5 * nearby
    return np.asarray((least <= sure) | (lead[1:] * lead[:-1] <= 0.0))


def _lead_over_all(logits: DoubleArray, of: int) -> DoubleArray:
    """logits (n, K) → log-odds of class `of` (n,)."""
    rest = np.delete(logits, of, axis=1)
    return np.asarray(logits[:, of] - np.logaddexp.reduce(rest, axis=1))
