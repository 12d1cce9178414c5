"""Softmax, the top class and the runner-up."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.prediction import predict, softmax, top_two


class _Fixed:
    """A classifier that answers the given logits."""

    def __init__(self, logits: np.ndarray) -> None:
        self._logits = logits.astype(np.float32)

    def logits(self, images: np.ndarray) -> np.ndarray:
        assert images.dtype == np.float32
        return self._logits[: len(images)]


def test_predict_gives_the_top_class_and_probabilities_that_sum_to_one() -> None:
    logits = np.array([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]])
    first, second = predict(_Fixed(logits), np.zeros((2, 1, 4, 4), np.float32))
    assert (first.class_index, second.class_index) == (1, 0)
    assert first.probabilities.sum() == pytest.approx(1.0)
    assert first.probability == pytest.approx(np.exp(2) / (1 + np.exp(2) + np.exp(1)))
    assert first.logits.dtype == np.float64


def test_softmax_survives_logits_that_would_overflow() -> None:
    assert softmax(np.array([[1e4, 0.0], [-1e4, 0.0]])) == pytest.approx(np.array([[1.0, 0.0], [0.0, 1.0]]))


def test_top_two_breaks_ties_by_index() -> None:
    assert top_two(np.array([1.0, 3.0, 3.0, 0.0])).tolist() == [1, 2]
