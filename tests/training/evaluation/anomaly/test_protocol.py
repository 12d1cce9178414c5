"""The repeated protocol, on features whose power is known."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.training.evaluation.anomaly.protocol import LATENTS, LOSSES, RECALL, UNFITTED, Features, gain, repeat


def _features(count: int, seed: int, loss: float = 0.0, latent: float = 0.0) -> Features:
    """One loss and one latent, standard normal but for their means."""
    generator = np.random.default_rng(seed)
    losses = generator.normal(loss, 1, (count, 1))
    latents = generator.normal(latent, 1, (count, 1))
    return {LOSSES: losses, LATENTS: np.hstack([losses, latents]), UNFITTED: losses}


def test_a_latent_that_tells_outliers_adds_to_a_loss_that_does_not() -> None:
    runs = repeat(_features(200, 1), _features(200, 2, latent=4.0), None, splits=8, seed=3)
    assert runs[LOSSES].average_precision.mean() == pytest.approx(0.5, abs=0.1)
    assert runs[LATENTS].average_precision.mean() > 0.97
    added = gain(runs)
    assert added.mean > 0.35
    assert added.low <= added.mean <= added.high
    assert added.better == 1


def test_noise_adds_nothing() -> None:
    runs = repeat(_features(200, 1), _features(200, 2, loss=2.0), None, splits=8, seed=3)
    assert abs(gain(runs).mean) < 0.02


def test_the_divisions_are_the_same_whatever_is_fitted() -> None:
    inside, outside = _features(60, 1), _features(60, 2, loss=1.0)
    both = repeat(inside, outside, None, splits=5, seed=3)
    alone = repeat(inside, outside, None, splits=5, seed=3, models=(UNFITTED,))
    strangers = repeat(inside, outside, [_features(60, 4, loss=9.0)], splits=5, seed=3)
    other = repeat(inside, outside, None, splits=5, seed=4, models=(UNFITTED,))
    assert np.array_equal(both[UNFITTED].average_precision, alone[UNFITTED].average_precision)
    assert np.array_equal(both[UNFITTED].average_precision, strangers[UNFITTED].average_precision)
    assert not np.array_equal(both[UNFITTED].average_precision, other[UNFITTED].average_precision)


def test_a_regression_that_saw_other_strangers_misjudges_these() -> None:
    """The others differ in the opposite direction, so that the fit learns the wrong sign."""
    inside, outside = _features(150, 1), _features(150, 2, latent=3.0)
    others = [_features(150, 4, latent=-2.0), _features(150, 5, latent=-3.0)]
    same = repeat(inside, outside, None, splits=5, seed=3)
    held_out = repeat(inside, outside, others, splits=5, seed=3)
    assert same[LATENTS].average_precision.mean() > 0.9
    assert held_out[LATENTS].average_precision.mean() < 0.4


def test_precision_falls_along_recall_and_ends_at_the_base_rate() -> None:
    runs = repeat(_features(90, 1), _features(30, 2), None, splits=6, seed=3, models=(UNFITTED,))
    curves = runs[UNFITTED].precision
    assert curves.shape == (6, len(RECALL))
    assert (np.diff(curves, axis=1) <= 0).all()
    assert curves[:, -1].min() >= 9 / 36  # 9 outliers and 27 members are tested; all found is at worst all called
    perfect = repeat(_features(90, 1), _features(30, 2, loss=60.0), None, splits=2, seed=3, models=(UNFITTED,))
    assert (perfect[UNFITTED].precision == 1).all()
    assert np.allclose(perfect[UNFITTED].members, 1)


def test_a_single_division_has_no_spread() -> None:
    runs = repeat(_features(40, 1), _features(40, 2, loss=2.0), None, splits=1, seed=0)
    assert gain(runs).deviation == 0
