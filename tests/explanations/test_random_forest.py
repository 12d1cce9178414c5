"""The forest as arrays: it predicts as scikit-learn does."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from explaind.errors import ShapeMismatch
from explaind.explanations import random_forest


def _fitted(latents: int, classes: int, *, rows: int = 600) -> tuple[RandomForestClassifier, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(latents)
    # Halves repeat, so that features meet thresholds between them and float32 rounding would show.
    codes = (np.round(generator.standard_normal((rows, latents)) * 10) / 10).astype(np.float32)
    decisions = np.argmax(codes @ generator.standard_normal((latents, classes)), axis=1)
    forest = RandomForestClassifier(7, max_leaf_nodes=40, random_state=0).fit(codes, decisions)
    return forest, codes, decisions


@pytest.mark.parametrize(("latents", "classes"), [(1, 2), (3, 2), (12, 10), (100, 4)])
def test_the_arrays_predict_as_scikit_learn(latents: int, classes: int) -> None:
    forest, codes, _ = _fitted(latents, classes)
    packed = random_forest.pack(forest, classes)
    mine = random_forest.predict(packed, codes)
    assert mine.shape == (600, classes)
    np.testing.assert_allclose(mine[:, forest.classes_], forest.predict_proba(codes), atol=1e-6)
    assert random_forest.predict(packed, codes[:0]).shape == (0, classes)
    assert packed.cover[packed.offsets[:-1]].tolist() == [600.0] * 7


def test_rows_beyond_one_walk_keep_their_order() -> None:
    forest, codes, _ = _fitted(3, 2)
    many = np.tile(codes, (8, 1))
    packed = random_forest.pack(forest)
    np.testing.assert_allclose(random_forest.predict(packed, many), forest.predict_proba(many), atol=1e-6)


def test_a_class_never_decided_has_probability_zero() -> None:
    codes = np.linspace(-1, 1, 50, dtype=np.float32)[:, None]
    forest = RandomForestClassifier(3, random_state=0).fit(codes, np.where(codes[:, 0] > 0, 4, 1))
    table = random_forest.predict(random_forest.pack(forest, 6), codes)
    assert table.shape == (50, 6)
    assert (table[:, [0, 2, 3, 5]] == 0.0).all()
    assert table.sum(axis=1) == pytest.approx(1.0)


def test_labels_beyond_the_classes_are_refused() -> None:
    forest, _, _ = _fitted(3, 2)
    with pytest.raises(ShapeMismatch, match="there are 1 classes"):
        random_forest.pack(forest, 1)


def test_a_forest_of_one_decision_predicts_it_everywhere() -> None:
    codes = np.zeros((9, 2), np.float32)
    packed = random_forest.pack(RandomForestClassifier(2).fit(codes, np.zeros(9, int)), 2)
    assert (random_forest.predict(packed, codes) == [1.0, 0.0]).all()
    assert (random_forest.local_contributions(packed, codes[0]) == 0.0).all()
