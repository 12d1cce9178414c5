"""What a score is made of: by the autoencoder and NumPy, or of a scorer's one call, the same."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.errors import Cancelled, ShapeMismatch
from explaind.explanations import measurement
from explaind.explanations.budget import Budget
from explaind.explanations.models import FloatArray, Measured

SHAPE, LATENTS = (3, 12, 13), 4


class _Autoencoder:
    """Codes are the means of four columns; what is decoded is as bright as the first of them."""

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        mean = images.mean(axis=(1, 2))[:, :LATENTS]
        return mean, np.full_like(mean, 0.5)

    def decode(self, codes: FloatArray) -> FloatArray:
        return np.broadcast_to(codes[:, :1, None, None], (len(codes), *SHAPE)).astype(np.float32)


class _Scorer:
    """What the autoencoder and NumPy found, told as a scorer does; counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    def measure(self, images: FloatArray) -> Measured:
        self.asked += 1
        found = measurement.reconstruction(_Autoencoder(), images)
        deviation = _Autoencoder().encode(images)[1]
        return Measured(np.zeros((len(images), 2)), found.mean, deviation, found.images, measurement.statistics(found))


class _NeverAsked:
    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        raise AssertionError

    decode = encode  # type: ignore[assignment]


@pytest.fixture
def images() -> FloatArray:
    return np.random.default_rng(0).random((5, *SHAPE), dtype=np.float32)


def test_images_under_the_window_are_refused() -> None:
    class _Small(_Autoencoder):
        def decode(self, codes: FloatArray) -> FloatArray:
            return np.zeros((len(codes), 3, 10, 13), np.float32)

    with pytest.raises(ShapeMismatch, match="11×11"):
        measurement.reconstruction(_Small(), np.zeros((1, 3, 10, 13), np.float32))


@pytest.mark.parametrize("scorer", [None, _Scorer()])
def test_a_cancelled_request_asks_nothing(images: FloatArray, scorer: _Scorer | None) -> None:
    budget = Budget()
    budget.cancel()
    with pytest.raises(Cancelled):
        measurement.reconstruction(_NeverAsked(), images, scorer=scorer, budget=budget)
    assert scorer is None or scorer.asked == 0


def test_a_scorer_is_asked_instead_of_the_autoencoder(images: FloatArray) -> None:
    scorer = _Scorer()
    found = measurement.reconstruction(_NeverAsked(), images, scorer=scorer)
    expected = measurement.reconstruction(_Autoencoder(), images)
    assert scorer.asked == 1
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.images, expected.images)
    for part in ("losses", "codes"):
        one, other = getattr(found, part), getattr(expected, part)
        for name in one.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_every_statistic_is_a_column_of_its_own(images: FloatArray) -> None:
    columns = measurement.statistics(measurement.reconstruction(_Autoencoder(), images))
    assert columns.shape == (5, len(measurement.STATISTICS))
    assert np.isfinite(columns).all()
    assert len({tuple(column) for column in columns.T}) == len(measurement.STATISTICS)
