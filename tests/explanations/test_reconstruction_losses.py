"""The seven losses against their definitions, on colour and grey images."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.errors import ShapeMismatch
from explaind.explanations.reconstruction_losses import losses


def _pair(channels: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.random((4, channels, 16, 12)), random.uniform(0.01, 0.99, (4, channels, 16, 12))


def _bce(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return -(x * np.log(y) + (1 - x) * np.log(1 - y))


def test_losses_match_their_definitions_one_channel_pair_at_a_time() -> None:
    x, y = _pair(3)
    result = losses(x, y)
    pairs = [_bce(x[:, a], y[:, b]).mean(axis=(1, 2)) for a in range(3) for b in range(3)]
    flat_x, flat_y = x.reshape(4, -1), y.reshape(4, -1)
    cosine = [1 - a @ b / np.sqrt((a @ a) * (b @ b)) for a, b in zip(flat_x, flat_y, strict=True)]
    assert result.mse == pytest.approx(((x - y) ** 2).mean(axis=(1, 2, 3)))
    assert result.mae == pytest.approx(np.abs(x - y).mean(axis=(1, 2, 3)))
    assert result.cosine_distance == pytest.approx(np.array(cosine))
    assert result.cross_entropy == pytest.approx(np.mean(pairs, axis=0))
    assert result.color_cross_entropy == pytest.approx(_bce(x, y).mean(axis=(1, 2, 3)))
    assert result.cross_entropy_excess == pytest.approx((_bce(x, y) - _bce(x, x)).mean(axis=(1, 2, 3)))


def test_the_two_cross_entropies_coincide_for_one_channel() -> None:
    result = losses(*_pair(1))
    assert np.array_equal(result.cross_entropy, result.color_cross_entropy)


def test_identical_images_lose_nothing() -> None:
    x, _ = _pair(1)
    result = losses(x, x)
    for name in ("mse", "mae", "cosine_distance", "cross_entropy_excess"):
        assert getattr(result, name) == pytest.approx(np.zeros(4), abs=1e-12), name
    assert result.ssim == pytest.approx(np.ones(4))


def test_black_and_saturated_images_stay_finite() -> None:
    black, white = np.zeros((1, 1, 12, 12), np.float32), np.ones((1, 1, 12, 12), np.float32)
    for first, second in ((black, black), (black, white), (white, black), (white, white)):
        result = losses(first, second)
        assert all(np.isfinite(getattr(result, name)).all() for name in result.__dataclass_fields__)
    assert losses(black, black).cosine_distance[0] == 0.0
    assert losses(black, white).cosine_distance[0] == 1.0


def test_excess_does_not_score_complexity() -> None:
    """A perfect rebuild of a grey image has a high cross entropy and no excess."""
    grey = np.full((1, 1, 12, 12), 0.5)
    result = losses(grey, grey)
    assert result.cross_entropy[0] == pytest.approx(np.log(2))
    assert result.cross_entropy_excess[0] == pytest.approx(0.0, abs=1e-12)


def test_different_shapes_are_refused() -> None:
    with pytest.raises(ShapeMismatch):
        losses(np.zeros((1, 1, 12, 12)), np.zeros((1, 1, 12, 13)))
