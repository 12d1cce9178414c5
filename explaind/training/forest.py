"""RANDOM_FOREST's surrogate: μ → decision, fitted with scikit-learn, kept as flat arrays (DESIGN §3.1).

Two forests: one grown without bound, its size from a grid search, for the report's fidelity; and the served one,
small enough to answer in milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, StratifiedKFold

from explaind.explanations.types import DoubleArray, FloatArray, ForestArrays
from explaind.training.recipe import ReferenceRecipe

_FOLDS = 5
_PERMUTATIONS = 10

Decisions = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForestFit:
    """forest: the served one. impurity, permutation (D,): its importances, the second on held-out images.
    fidelity: share of held-out images where it decides as the classifier; unbounded_fidelity: the unbounded
    forest's, of `unbounded_trees` trees."""

    forest: ForestArrays
    impurity: DoubleArray
    permutation: DoubleArray
    fidelity: float
    unbounded_fidelity: float
    unbounded_trees: int


def fit_forest(
    means: FloatArray,
    decisions: Decisions,
    held_out_means: FloatArray,
    held_out_decisions: Decisions,
    classes: int,
    recipe: ReferenceRecipe,
    seed: int,
) -> ForestFit:
    """means (N, D) and the classifier's decisions (N,) in 0…classes − 1; held-out ones to score on.

    Fitted on at most `recipe.forest_images` rows. A class the classifier never decided has probability 0.
    """
    rows = np.random.default_rng(seed).permutation(len(means))[: recipe.forest_images]
    x, y = means[rows], decisions[rows]
    unbounded = _best_of_grid(x, y, recipe.forest_trees, seed)
    served = RandomForestClassifier(recipe.served_trees, max_leaf_nodes=recipe.served_leaves, random_state=seed)
    served.fit(x, y)
    permuted = permutation_importance(
        served, held_out_means, held_out_decisions, n_repeats=_PERMUTATIONS, random_state=seed
    )
    return ForestFit(
        forest=as_arrays(served, classes),
        impurity=np.asarray(served.feature_importances_, dtype=np.float64),
        permutation=np.asarray(permuted.importances_mean, dtype=np.float64),
        fidelity=float(served.score(held_out_means, held_out_decisions)),
        unbounded_fidelity=float(unbounded.score(held_out_means, held_out_decisions)),
        unbounded_trees=int(unbounded.n_estimators),
    )


def _best_of_grid(x: FloatArray, y: Decisions, trees: Sequence[int], seed: int) -> RandomForestClassifier:
    """5-fold cross-validation over the number of trees; the best, fitted on everything."""
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    search = GridSearchCV(RandomForestClassifier(random_state=seed), {"n_estimators": list(trees)}, cv=folds)
    best: RandomForestClassifier = search.fit(x, y).best_estimator_
    return best


def as_arrays(forest: RandomForestClassifier, classes: int) -> ForestArrays:
    """The fitted trees end to end; scikit-learn sends a row left where its float32 value is ≤ the threshold."""
    trees = [estimator.tree_ for estimator in forest.estimators_]
    value = np.zeros((sum(tree.node_count for tree in trees), classes), dtype=np.float32)
    value[:, forest.classes_] = np.concatenate([_shares(tree.value[:, 0, :]) for tree in trees])
    return ForestArrays(
        offsets=np.cumsum([0, *(tree.node_count for tree in trees)]).astype(np.int32),
        left=np.concatenate([tree.children_left for tree in trees]).astype(np.int32),
        right=np.concatenate([tree.children_right for tree in trees]).astype(np.int32),
        feature=np.concatenate([tree.feature for tree in trees]).astype(np.int32),
        threshold=np.concatenate([tree.threshold for tree in trees]).astype(np.float64),
        value=value,
        cover=np.concatenate([tree.weighted_n_node_samples for tree in trees]).astype(np.float32),
    )


def _shares(values: DoubleArray) -> DoubleArray:
    return np.asarray(values / values.sum(axis=1, keepdims=True))
