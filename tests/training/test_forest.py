from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from explaind.explanations.types import ForestArrays
from explaind.training.forest import as_arrays, fit_forest
from explaind.training.recipe import ReferenceRecipe


def _walk(forest: ForestArrays, row: np.ndarray) -> np.ndarray:
    """Mean of the leaves' class probabilities, read off the arrays alone."""
    leaves = []
    for start in forest.offsets[:-1]:
        node = 0
        while forest.left[start + node] >= 0:
            at = start + node
            goes_left = np.float32(row[forest.feature[at]]) <= forest.threshold[at]
            node = int(forest.left[at] if goes_left else forest.right[at])
        leaves.append(forest.value[start + node])
    return np.asarray(np.mean(leaves, axis=0))


def test_the_arrays_decide_as_scikit_learn_does() -> None:
    generator = np.random.default_rng(0)
    x = generator.standard_normal((400, 5)).astype(np.float32)
    y = (x[:, 0] + x[:, 1] > 0).astype(np.int64) * 2  # class 1 never decided
    forest = RandomForestClassifier(5, max_leaf_nodes=20, random_state=0).fit(x, y)
    arrays = as_arrays(forest, classes=3)
    ours = np.stack([_walk(arrays, row) for row in x[:50]])
    np.testing.assert_allclose(ours[:, [0, 2]], forest.predict_proba(x[:50]), atol=1e-6)
    assert (ours[:, 1] == 0).all()
    assert arrays.cover[arrays.offsets[:-1]].tolist() == [400.0] * 5


def test_importances_find_the_latent_that_decides() -> None:
    generator = np.random.default_rng(1)
    x = generator.standard_normal((600, 4)).astype(np.float32)
    y = (x[:, 2] > 0).astype(np.int64)
    recipe = ReferenceRecipe(forest_images=400, forest_trees=(3, 6), served_trees=5, served_leaves=10)
    fit = fit_forest(x[:400], y[:400], x[400:], y[400:], 2, recipe, seed=0)
    assert fit.impurity.argmax() == fit.permutation.argmax() == 2
    assert fit.fidelity > 0.95
    assert fit.unbounded_fidelity > 0.95
    assert fit.impurity.sum() == pytest.approx(1.0)
    assert len(fit.forest.offsets) == 6
