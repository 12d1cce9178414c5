"""RANDOM_FOREST (DESIGN §3.1, [LR]): a forest from latents to decisions, as arrays; scikit-learn is not imported."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from explaind.errors import ShapeMismatch
from explaind.explanations import tree_shap
from explaind.explanations.types import DoubleArray, FloatArray, ForestArrays, IntArray

# Rows walked through all trees at once: bounds the work arrays to a few MB.
_ROWS = 2048


class FittedForest(Protocol):
    """What is read of a fitted scikit-learn RandomForestClassifier, its arrays untyped as there."""

    estimators_: Sequence[Any]
    classes_: Any


def pack(forest: FittedForest, class_count: int | None = None) -> ForestArrays:
    """Flat arrays of a fitted classifier whose labels are class indices in [0, class_count).

    class_count None: the highest label + 1. A class that no training image was decided as has probability 0.
    ShapeMismatch where a label is outside.
    """
    labels = np.asarray(forest.classes_).astype(np.int64)
    class_count = class_count or int(labels.max()) + 1
    if labels.min() < 0 or labels.max() >= class_count:
        message = f"The forest's labels go from {labels.min()} to {labels.max()}; there are {class_count} classes."
        raise ShapeMismatch(message, field="forest")
    trees = [estimator.tree_ for estimator in forest.estimators_]
    sizes = [tree.node_count for tree in trees]
    return ForestArrays(
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        left=np.concatenate([tree.children_left for tree in trees]).astype(np.int32),
        right=np.concatenate([tree.children_right for tree in trees]).astype(np.int32),
        feature=np.concatenate([tree.feature for tree in trees]).astype(np.int32),
        threshold=np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        value=np.concatenate([_class_values(tree.value, labels, class_count) for tree in trees]),
        cover=np.concatenate([tree.weighted_n_node_samples for tree in trees]).astype(np.float32),
    )


def _class_values(value: DoubleArray, labels: NDArray[np.int64], class_count: int) -> FloatArray:
    """(nodes, 1, labels), counts or shares → (nodes, K) shares."""
    table = np.zeros((len(value), class_count), np.float32)
    table[:, labels] = value[:, 0] / value[:, 0].sum(axis=1, keepdims=True)
    return table


def predict(forest: ForestArrays, codes: FloatArray) -> DoubleArray:
    """codes (B, D) → class probabilities (B, K), the mean over trees."""
    left, right = _absolute_children(forest)
    starts = range(0, len(codes), _ROWS)
    parts = [_predict_rows(forest, left, right, codes[start : start + _ROWS]) for start in starts]
    return np.concatenate([np.zeros((0, forest.value.shape[1])), *parts])


def _absolute_children(forest: ForestArrays) -> tuple[IntArray, IntArray]:
    """Children as positions in the flat arrays; a leaf is its own child, so that a walk may overstay there."""
    sizes = np.diff(forest.offsets)
    roots = np.repeat(forest.offsets[:-1], sizes)
    own = np.arange(len(forest.left), dtype=np.int32)
    leaf = forest.left < 0
    return np.where(leaf, own, forest.left + roots), np.where(leaf, own, forest.right + roots)


def _predict_rows(forest: ForestArrays, left: IntArray, right: IntArray, codes: FloatArray) -> DoubleArray:
    # scikit-learn compares float32 features with float64 thresholds; so must we, at equal values.
    rows = codes.astype(np.float32)
    nodes = np.tile(forest.offsets[:-1], (len(rows), 1))
    row = np.arange(len(rows))[:, None]
    while (inner := forest.left[nodes] >= 0).any():
        below = rows[row, np.where(inner, forest.feature[nodes], 0)] <= forest.threshold[nodes]
        nodes = np.where(below, left[nodes], right[nodes])
    total = np.zeros((len(rows), forest.value.shape[1]))
    for tree in range(nodes.shape[1]):
        total += forest.value[nodes[:, tree]]
    return np.asarray(total / nodes.shape[1])


def local_contributions(forest: ForestArrays, code: FloatArray) -> DoubleArray:
    """TreeSHAP of one code (D,): signed contributions (D, K); they sum to predict(code) less the forest's mean."""
    return tree_shap.contributions(tree_shap.leaf_boxes(forest), code)
