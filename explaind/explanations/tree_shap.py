"""Exact path-dependent TreeSHAP of a forest, over all leaves at once.

A leaf is a box: feature j lets the code through (o_j = 1) or not. Unknown features pass with the share z_j of the
training weight that took the leaf's side at j's splits, so the leaf's game is v(S) = Π_{S} o · Π_{not S} z · value.
Shapley's weights are a Beta integral, s!(u−1−s)!/u! = ∫ y^s (1−y)^{u−1−s} dy, hence
φ_j = value · (o_j − z_j) · ∫ Π_{k≠j} (o_k y + z_k (1−y)) dy: a polynomial of degree u−1, which Gauss–Legendre
quadrature with ⌈u/2⌉ nodes integrates exactly. Every term is positive, so nothing cancels; a feature off the path
(o = z = 1) drops out by itself.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.types import DoubleArray, FloatArray, ForestArrays, IntArray


@dataclass(frozen=True, slots=True)
class LeafBoxes:
    """All L leaves of a forest, with the U features that the longest path splits on; shorter paths are padded.

    feature, low, high (U, L): the leaf is reached where low < x[feature] ≤ high at every slot.
    open, shut (U, Q, L): o y + z (1−y) at the Q nodes for o = 1 and o = 0. gain (U, Q, L): (1 − z) / open.
    weights, loss (Q,): quadrature weights; 1 / (1−y), which is (z − o) / shut at o = 0.
    value (L, K): the leaf's class shares over the number of trees.
    """

    feature: IntArray
    low: DoubleArray
    high: DoubleArray
    open: DoubleArray
    shut: DoubleArray
    gain: DoubleArray
    weights: DoubleArray
    loss: DoubleArray
    value: DoubleArray


class _ByIdentity:
    """A cache key that is the very forest: equal arrays elsewhere are another forest."""

    __slots__ = ("forest",)

    def __init__(self, forest: ForestArrays) -> None:
        self.forest = forest

    def __hash__(self) -> int:
        return id(self.forest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByIdentity) and self.forest is other.forest


def leaf_boxes(forest: ForestArrays) -> LeafBoxes:
    """What every image needs of a forest, computed at its first request and kept for the four latest forests."""
    return _cached_boxes(_ByIdentity(forest))


@functools.lru_cache(maxsize=4)
def _cached_boxes(key: _ByIdentity) -> LeafBoxes:
    return build(key.forest)


def build(forest: ForestArrays) -> LeafBoxes:
    """Walk every tree from the root, level by level. Raises ValueError on a forest without a tree."""
    feature_count = max(int(forest.feature.max()) + 1, 1)
    trees = [_tree_boxes(forest, tree, feature_count) for tree in range(len(forest.offsets) - 1)]
    low, high, share = (np.concatenate(parts) for parts in zip(*trees, strict=True))
    leaves = np.flatnonzero(forest.left < 0)
    value = forest.value[leaves].astype(np.float64) / len(trees)
    return _at_nodes(*_compact(low, high, share), value)


def _tree_boxes(forest: ForestArrays, tree: int, width: int) -> tuple[DoubleArray, DoubleArray, DoubleArray]:
    """low, high, share (leaves, D) of one tree; share is z, 1 off the path."""
    span = slice(int(forest.offsets[tree]), int(forest.offsets[tree + 1]))
    left, right, feature = forest.left[span], forest.right[span], forest.feature[span]
    threshold, cover = forest.threshold[span], forest.cover[span].astype(np.float64)
    low = np.full((len(left), width), -np.inf)
    high = np.full((len(left), width), np.inf)
    share = np.ones((len(left), width))
    level = np.zeros(1, np.int64)
    while (level := level[left[level] >= 0]).size:
        axis = feature[level]
        for child in (left[level], right[level]):
            low[child], high[child], share[child] = low[level], high[level], share[level]
            share[child, axis] *= cover[child] / cover[level]
        high[left[level], axis] = np.minimum(high[left[level], axis], threshold[level])
        low[right[level], axis] = np.maximum(low[right[level], axis], threshold[level])
        level = np.concatenate([left[level], right[level]])
    leaf = left < 0
    return low[leaf], high[leaf], share[leaf]


def _compact(
    low: DoubleArray, high: DoubleArray, share: DoubleArray
) -> tuple[IntArray, DoubleArray, DoubleArray, DoubleArray]:
    """Keep each leaf's split features: (L, D) → (U, L), the feature's column first. Padding repeats an unsplit one."""
    split = np.isfinite(low) | np.isfinite(high)
    slots = max(int(split.sum(axis=1).max()), 1)
    order = np.argsort(~split, axis=1, kind="stable")[:, :slots]
    feature = np.ascontiguousarray(order.T.astype(np.int32))
    return feature, _picked(low, order), _picked(high, order), _picked(share, order)


def _picked(table: DoubleArray, order: NDArray[np.intp]) -> DoubleArray:
    return np.ascontiguousarray(np.take_along_axis(table, order, axis=1).T)


def _at_nodes(
    feature: IntArray, low: DoubleArray, high: DoubleArray, share: DoubleArray, value: DoubleArray
) -> LeafBoxes:
    roots, halves = np.polynomial.legendre.leggauss((len(feature) + 1) // 2)
    node = (0.5 * (roots + 1.0))[:, None]
    shut = share[:, None] * (1.0 - node)
    opened = node + shut
    return LeafBoxes(
        feature=feature,
        low=low,
        high=high,
        open=opened,
        shut=shut,
        gain=(1.0 - share[:, None]) / opened,
        weights=0.5 * halves,
        loss=1.0 / (1.0 - node[:, 0]),
        value=value,
    )


def contributions(boxes: LeafBoxes, code: FloatArray) -> DoubleArray:
    """code (D,) → Shapley values (D, K) of the forest's probabilities; they sum to p(code) − E p."""
    known = code.astype(np.float32)[boxes.feature]
    inside = (known > boxes.low) & (known <= boxes.high)
    integrand = np.repeat(boxes.weights[:, None], len(boxes.value), axis=1)
    for slot in range(len(inside)):
        integrand *= np.where(inside[slot], boxes.open[slot], boxes.shut[slot])
    weight = np.zeros((len(code), len(boxes.value)))
    missed = -boxes.loss @ integrand
    leaves = np.arange(len(boxes.value))
    for slot in range(len(inside)):
        gained = np.einsum("ql,ql->l", boxes.gain[slot], integrand)
        weight[boxes.feature[slot], leaves] += np.where(inside[slot], gained, missed)
    return weight @ boxes.value
