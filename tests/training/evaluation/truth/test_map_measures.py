"""Measures of maps against hand-made cases and SciPy's and scikit-learn's own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from explaind.errors import ShapeMismatch
from explaind.training.evaluation.truth.map_measures import auroc, iou, rank_correlation, similarity, strongest


def _map(*pixels: tuple[int, int], side: int = 4) -> np.ndarray[tuple[int, int, int], np.dtype[np.bool_]]:
    result = np.zeros((1, side, side), np.bool_)
    for pixel in pixels:
        result[0][pixel] = True
    return result


def test_iou_of_hand_made_masks() -> None:
    assert iou(_map((0, 0), (0, 1)), _map((0, 1), (0, 2)))[0] == pytest.approx(1 / 3)
    assert iou(_map((0, 0)), _map((3, 3)))[0] == 0
    assert iou(_map(), _map())[0] == 1 and iou(_map(), _map((1, 1)))[0] == 0


def test_the_strongest_are_as_many_as_asked_even_among_equals() -> None:
    flat = np.ones((2, 3, 3))
    flat[1, 2, 2] = 5
    chosen = strongest(flat, np.array([4, 1]))
    assert chosen[0].reshape(-1).tolist() == [True] * 4 + [False] * 5
    assert chosen[1].sum() == 1 and chosen[1, 2, 2]


def test_auroc_is_scikit_learns_with_equals_too() -> None:
    random = np.random.default_rng(0)
    maps = random.integers(0, 4, (5, 6, 6)).astype(float)
    known = random.random((5, 6, 6)) < 0.3
    expected = [roc_auc_score(k.reshape(-1), m.reshape(-1)) for k, m in zip(known, maps, strict=True)]
    assert auroc(maps, known) == pytest.approx(expected)
    assert np.isnan(auroc(maps[:1], np.zeros((1, 6, 6), bool)))[0]


def test_rank_correlation_is_scipys() -> None:
    random = np.random.default_rng(1)
    a, b = random.integers(0, 9, (2, 4, 5, 5)).astype(float)
    expected = [spearmanr(x.reshape(-1), y.reshape(-1)).statistic for x, y in zip(a, b, strict=True)]
    assert rank_correlation(a, b) == pytest.approx(expected)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.zeros_like(a)) == pytest.approx(0)


def test_similarity_ignores_sign_and_scale() -> None:
    maps = np.random.default_rng(2).standard_normal((3, 12, 12))
    assert similarity(maps, -3 * maps) == pytest.approx(1)
    assert np.all(similarity(maps, maps[:, ::-1].copy()) < 0.9)


def test_maps_of_different_shapes_are_refused() -> None:
    with pytest.raises(ShapeMismatch, match=r"\(1, 4, 4\) and \(1, 5, 5\) cannot be compared"):
        iou(_map(), _map(side=5))
