"""Latents that copy known factors are found; independent ones are not."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.errors import ShapeMismatch
from explaind.training.evaluation.truth.factor_latents import binned, factor_latents, mutual_information


def test_information_of_a_copy_is_its_entropy_and_of_noise_near_none() -> None:
    random = np.random.default_rng(0)
    values = binned(random.random(20_000))
    assert mutual_information(values, values) == pytest.approx(np.log(20), abs=0.01)
    assert mutual_information(values, binned(random.random(20_000))) < 0.02


def test_equal_values_share_a_bin() -> None:
    values = np.concatenate([np.zeros(500), np.linspace(1, 2, 500)])
    bins = binned(values)
    assert len(set(bins[:500])) == 1 and bins[0] not in bins[500:] and bins.max() + 1 == len(set(bins))


def test_each_latent_belongs_to_the_factor_it_copies() -> None:
    random = np.random.default_rng(1)
    factors = random.random((5000, 3))
    noise = 0.05 * random.standard_normal((5000, 4))
    means = (np.stack([factors[:, 1], -(factors[:, 0] ** 3), factors[:, 1], np.zeros(5000)], axis=1) + noise).astype(
        np.float32
    )
    means[:, 2] += 0.3 * random.standard_normal(5000).astype(np.float32)
    found = factor_latents(means, factors, np.array([True, True, True, False]))
    assert found.about.tolist()[:2] == [1, 0] and found.about[3] == -1
    assert found.latents_of(1) == (0, 2) and found.latents_of(0) == (1,) and found.latents_of(2) == ()
    assert found.purity(0) > 0.9 and found.purity(2) == 0
    assert [(f.label, f.dimensions) for f in found.factors(("a", "b", "c"))] == [("a", (1,)), ("b", (0, 2))]


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeMismatch, match="5 codes of 2 latents, 4 rows of factors and 2 used latents"):
        factor_latents(np.zeros((5, 2), np.float32), np.zeros((4, 1)), np.array([True, True]))
    with pytest.raises(ShapeMismatch, match="0 used latents"):
        factor_latents(np.zeros((5, 2), np.float32), np.zeros((5, 1)), np.array([False, False]))
