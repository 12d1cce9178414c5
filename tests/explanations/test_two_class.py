"""Two-class probability and entropy in bits, and the window along a path."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.two_class import entropy, probability, window


def test_equal_logits_are_one_bit_and_a_sure_decision_none() -> None:
    logits = np.array([[1.0, 1.0, 9.0], [800.0, -800.0, 0.0], [-800.0, 800.0, 0.0]], np.float32)
    assert entropy(logits, 0, 1) == pytest.approx([1.0, 0.0, 0.0])
    assert probability(logits, 0, 1) == pytest.approx([0.5, 1.0, 0.0])


def test_probability_and_entropy_match_their_definitions() -> None:
    logits = np.random.default_rng(33).normal(size=(50, 4)) * 3
    p = np.exp(logits[:, 2]) / (np.exp(logits[:, 2]) + np.exp(logits[:, 1]))
    assert probability(logits, 2, 1) == pytest.approx(p)
    assert entropy(logits, 2, 1) == pytest.approx(-p * np.log2(p) - (1 - p) * np.log2(1 - p))
    assert entropy(logits, 1, 2) == pytest.approx(entropy(logits, 2, 1))


def test_the_window_is_the_weighted_mean_and_deviation() -> None:
    steps = np.arange(1, 101)
    mean, half = window(np.exp(-0.5 * ((steps - 40) / 5.0) ** 2))
    assert mean == pytest.approx(40, abs=0.01)
    assert half == pytest.approx(1.96 * 5, rel=1e-3)


def test_a_path_without_doubt_has_its_window_in_the_middle() -> None:
    assert window(np.zeros(101)) == (51.0, 0.0)
