"""A path's points, drawn only where the decision between its classes moves (DESIGN §3.4).

Along much of a path the classifier is sure: p_s moves there by less than a five-thousandth of its whole change. Those
points are neither decoded nor classified, but for the ends of the first segments; their logits are interpolated. Over
300 digits 65 of 100 points are drawn; probabilities differ by 5e-6 at most, entropies by 7e-5 bit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.interpolation import cubic
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.path_segments import SURE_BELOW, first_nodes
from explaind.explanations.types import DoubleArray

_WORTH_A_LOOK = 3  # points a first node, under which all are drawn at once


def points(path: MorphPath, count: int, pair: tuple[int, int], *, every_image: bool = False) -> PathPoints:
    """count points at equal distances, for the explained class and the other. Raises Cancelled.

    Drawn are all of a segment between first nodes, unless both p_s and p(s | {s, o}) are sure at its ends and, at the
    speed at which they change nearby, stay so between them. every_image: the others have images and logits of their
    own too, for who wants to see them.
    """
    positions, nodes = np.linspace(0.0, 1.0, count), first_nodes(count)
    if count < _WORTH_A_LOOK * len(nodes):
        return path.whole(positions)
    first = path.whole(positions[nodes])
    drawn = np.append(_moving(first, pair).repeat(np.diff(nodes)), False)
    drawn[nodes] = False
    inner = np.flatnonzero(drawn)
    drawn[nodes] = True
    rest = np.flatnonzero(~drawn)
    wanted = np.concatenate([inner, rest]) if every_image else inner
    second = path.points(positions[wanted])
    images = np.zeros((count, *first.images.shape[1:]), np.float32)
    logits = np.zeros((count, first.logits.shape[1]))
    images[nodes], logits[nodes] = first.images, first.logits
    images[wanted], logits[wanted] = second.images, second.logits
    if len(rest) and not every_image:
        known = np.flatnonzero(drawn)
        logits[rest] = cubic(known, logits[known], rest)
    return PathPoints(positions, images, logits, drawn)


def _moving(nodes: PathPoints, pair: tuple[int, int]) -> NDArray[np.bool_]:
    """n nodes → of each segment between two of them (n − 1,), whether the decision may move in it."""
    probabilities = nodes.probabilities(pair[0])
    change = abs(float(probabilities[-1] - probabilities[0]))
    sure = -math.log(SURE_BELOW * change) if change > 0.0 else math.inf
    logits = nodes.logits.astype(np.float64)
    leads = np.stack([nodes.log_odds(pair[0]), logits[:, pair[0]] - logits[:, pair[1]]])
    return np.asarray(_unsure(leads, sure).any(axis=0))


def _unsure(leads: DoubleArray, sure: float) -> NDArray[np.bool_]:
    """leads (m, n): log-odds at the nodes → of each segment (m, n − 1), whether they may come within ±sure of 0 there:
    half as far again as they change across it or a segment beside it."""
    sizes, speed = np.abs(leads), np.abs(leads[:, 1:] - leads[:, :-1])
    nearby = speed.copy()
    np.maximum(nearby[:, 1:], speed[:, :-1], out=nearby[:, 1:])
    np.maximum(nearby[:, :-1], speed[:, 1:], out=nearby[:, :-1])
    least = np.minimum(sizes[:, 1:], sizes[:, :-1]) - 0.5 * nearby
    return np.asarray(~(least > sure) | (leads[:, 1:] * leads[:, :-1] <= 0.0))
