"""Adam against its published recursion."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.adam import Adam


def test_steps_match_the_recursion_written_out() -> None:
    gradients = np.random.default_rng(34).normal(size=(5, 3))
    adam, mean, square = Adam(0.01), np.zeros(3), np.zeros(3)
    for t, gradient in enumerate(gradients, start=1):
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        expected = -0.01 * (mean / (1 - 0.9**t)) / (np.sqrt(square / (1 - 0.999**t)) + 1e-8)
        assert adam.step(gradient) == pytest.approx(expected)


def test_the_first_step_has_the_length_of_the_rate_whatever_the_gradient() -> None:
    for size in (1e-3, 1.0, 1e3):
        assert Adam(0.25).step(np.array([size, -size])) == pytest.approx([-0.25, 0.25], rel=1e-4)


def test_a_zero_gradient_stands_still() -> None:
    assert Adam(0.1).step(np.zeros(2)).tolist() == [0.0, 0.0]


def test_it_finds_the_bottom_of_a_bowl() -> None:
    adam, place = Adam(0.05), np.array([3.0, -2.0])
    for _ in range(500):
        place = place + adam.step(2 * (place - 1.0))
    assert place == pytest.approx([1.0, 1.0], abs=0.02)
