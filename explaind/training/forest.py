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

from explaind.explanations import random_forest
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
        forest=random_forest.pack(served, classes),
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
