"""TreeSHAP in NumPy equals the shap package's, and sums to the prediction."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from explaind.explanations import random_forest, tree_shap

with warnings.catch_warnings():
    # shap's plots call what matplotlib means to deprecate; nothing here plots.
    warnings.simplefilter("ignore")
    import shap


@pytest.mark.parametrize(
    ("latents", "classes", "trees", "leaves"),
    [(1, 2, 3, 30), (2, 2, 5, 40), (5, 3, 10, 100), (12, 10, 8, 500), (16, 4, 5, 200), (100, 3, 5, 150)],
)
def test_contributions_equal_the_shap_packages(latents: int, classes: int, trees: int, leaves: int) -> None:
    generator = np.random.default_rng(latents)
    codes = generator.standard_normal((1500, latents)).astype(np.float32)
    scores = codes @ generator.standard_normal((latents, classes))
    decisions = np.argmax(scores + codes[:, :1] * codes[:, -1:] * generator.standard_normal(classes), axis=1)
    forest = RandomForestClassifier(trees, max_leaf_nodes=leaves, random_state=0).fit(codes, decisions)
    packed = random_forest.pack(forest, classes)
    explainer = shap.TreeExplainer(forest, feature_perturbation="tree_path_dependent")
    mine = np.stack([random_forest.local_contributions(packed, code) for code in codes[:12]])
    assert mine.shape == (12, latents, classes)
    np.testing.assert_allclose(mine[..., forest.classes_], explainer.shap_values(codes[:12]), atol=1e-6)
    gained = random_forest.predict(packed, codes[:12])[:, forest.classes_] - explainer.expected_value
    np.testing.assert_allclose(mine.sum(axis=1)[:, forest.classes_], gained, atol=1e-6)


def test_contributions_hold_at_a_threshold_itself() -> None:
    codes = np.repeat(np.array([[0.0], [1.0]], np.float32), 20, axis=0)
    forest = RandomForestClassifier(1, bootstrap=False, random_state=0).fit(codes, codes[:, 0].astype(int))
    packed = random_forest.pack(forest, 2)
    assert packed.threshold[0] == 0.5
    for value, expected in [(0.5, -0.5), (np.nextafter(np.float32(0.5), np.float32(1.0)), 0.5)]:
        contribution = random_forest.local_contributions(packed, np.array([value], np.float32))
        assert contribution.tolist() == [[-expected, expected]]


def test_leaf_boxes_are_computed_once_a_forest() -> None:
    codes = np.random.default_rng(0).standard_normal((50, 2)).astype(np.float32)
    forest = RandomForestClassifier(2, random_state=0).fit(codes, codes[:, 0] > 0)
    first, second = random_forest.pack(forest, 2), random_forest.pack(forest, 2)
    assert tree_shap.leaf_boxes(first) is tree_shap.leaf_boxes(first)
    assert tree_shap.leaf_boxes(first) is not tree_shap.leaf_boxes(second)
