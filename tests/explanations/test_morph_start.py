"""Which code a morph starts from, tier by tier."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations import morph_start
from explaind.explanations.budget import Budget
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_start import MorphStart
from explaind.explanations.prediction import softmax
from explaind.explanations.types import Prediction

SIZE = 3


class _Coordinates:
    """Codes are the image's first row; the encoder is off by `shift`, so that samples differ in distance."""

    def __init__(self, shift: float = 0.0) -> None:
        self._shift = shift

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = images[:, 0, 0] + np.float32(self._shift)
        return mean, np.full_like(mean, 0.2)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        images = np.zeros((len(codes), 1, SIZE, SIZE), np.float32)
        images[:, 0, 0] = codes
        return images

    def logits(self, images: np.ndarray) -> np.ndarray:
        return images[:, 0, 0]

    def probability_gradient(self, images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        raise AssertionError("choosing a start needs no gradient")

    logit_gradient = probability_gradient


def _choose(
    row: tuple[float, ...],
    pair: tuple[int, int],
    own: tuple[float, ...] | None = None,
    shift: float = 0.0,
    *,
    mean_suffices: bool = False,
) -> MorphStart:
    model = _Coordinates(shift)
    image = np.zeros((1, SIZE, SIZE), np.float32)
    image[0, 0] = row
    logits = np.array(row if own is None else own)
    prediction = Prediction(
        class_index=int(logits.argmax()), probability=1.0, probabilities=softmax(logits), logits=logits
    )
    models = MorphingModels(model, model, model, model)
    random = np.random.default_rng(35)
    return morph_start.choose(models, image, pair, prediction, random, Budget(), mean_suffices=mean_suffices)


def test_the_mean_code_wins_where_it_rebuilds_the_image() -> None:
    start = _choose((3.0, 1.0, 0.0), (0, 1))
    assert start.code == pytest.approx([3.0, 1.0, 0.0])
    assert (start.top_class, start.agrees) == (0, True)


def test_a_closer_sample_wins_over_a_mean_that_is_off() -> None:
    start = _choose((3.0, 1.0, 0.0), (0, 1), shift=0.3)
    mean = np.array([3.3, 1.3, 0.3])
    assert np.abs(start.code - [3.0, 1.0, 0.0]).sum() < np.abs(mean - [3.0, 1.0, 0.0]).sum()


def test_where_the_mean_suffices_no_closer_sample_is_looked_for() -> None:
    start = _choose((3.0, 1.0, 0.0), (0, 1), shift=0.3, mean_suffices=True)
    assert start.code == pytest.approx([3.3, 1.3, 0.3])
    assert (start.top_class, start.fit, start.agrees) == (0, True, True)


def test_where_none_is_fit_the_mean_comes_with_logits_of_its_own() -> None:
    """Though samples are closer, and were looked at first."""
    start = _choose((6.0, 1.0, 0.0), (1, 2), shift=0.3)
    assert start.top_class is None
    assert start.code == pytest.approx([6.3, 1.3, 0.3])
    assert start.decoded.logits == pytest.approx(start.code)


def test_a_mean_of_a_third_class_suffices_where_it_is_of_the_pair() -> None:
    start = _choose((1.0, 2.0, 0.0), (1, 2), own=(9.0, 5.0, 0.0), mean_suffices=True)
    assert start.code == pytest.approx([1.0, 2.0, 0.0])
    assert (start.top_class, start.fit, start.agrees) == (1, True, False)


@pytest.mark.parametrize(
    ("row", "pair", "own"),
    [
        ((1.5, 0.0, 0.0), (1, 0), (0.0, 1.5, -9.0)),  # of another class: the wider samples' turn
        ((9.0, 0.1, 0.0), (0, 1), (9.0, 0.0, 0.1)),  # of the class, but not the runner-up: a sample has it
    ],
)
def test_a_mean_that_is_not_fit_does_not_suffice(
    row: tuple[float, ...], pair: tuple[int, int], own: tuple[float, ...]
) -> None:
    found, sampled = _choose(row, pair, own, mean_suffices=True), _choose(row, pair, own)
    assert not np.array_equal(found.code, np.array(row, np.float32))
    assert found.top_class == int(np.argmax(own))
    np.testing.assert_array_equal(found.code, sampled.code)


def test_without_the_same_top_two_the_same_top_will_do() -> None:
    """The image's own runner-up is 2; whatever decodes near it has runner-up 1."""
    start = _choose((9.0, 5.0, 0.0), (0, 1), own=(9.0, 0.0, 5.0))
    assert (start.top_class, start.agrees) == (0, False)


def test_where_no_sample_has_the_same_top_class_wider_ones_are_drawn() -> None:
    """A lead of 1.5 is 5.3 deviations of a difference: none of 64 samples turns it, three times wider some do."""
    start = _choose((1.5, 0.0, 0.0), (1, 0), own=(0.0, 1.5, -9.0))
    assert start.top_class == 1
    assert int(start.code.argmax()) == 1
    assert start.code == pytest.approx([1.5, 0.0, 0.0], abs=4 * 3 * 0.2)


def test_without_the_same_top_class_there_is_no_start() -> None:
    start = _choose((9.0, 5.0, 0.0), (1, 2), own=(0.0, 9.0, 5.0))
    assert start.top_class is None
    assert not start.agrees


def test_an_image_of_a_third_class_starts_from_a_code_of_the_pair() -> None:
    start = _choose((1.0, 0.9, 0.0), (1, 2))
    assert start.top_class == 1
    assert int(start.code.argmax()) == 1
    assert not start.agrees


def test_an_image_far_from_both_classes_has_no_start() -> None:
    assert _choose((9.0, 0.0, 0.0), (1, 2)).top_class is None


class _Scattered(_Coordinates):
    """Classes scattered over the codes, so that the closest candidate is often not fit; counts what is classified."""

    def __init__(self, seed: int) -> None:
        super().__init__(0.1)
        self._directions = np.random.default_rng(seed).normal(size=(SIZE, 4))
        self.classified = 0

    def logits(self, images: np.ndarray) -> np.ndarray:
        self.classified += len(images)
        return np.sin(7 * images[:, 0, 0] @ self._directions).astype(np.float32)


@pytest.mark.parametrize("pair", [(0, 1), (2, 3), (1, 2)])
@pytest.mark.parametrize("seed", range(12))
def test_the_start_is_the_closest_fit_candidate_of_all(seed: int, pair: tuple[int, int]) -> None:
    """Beside the definition written out: every candidate classified."""
    model = _Scattered(seed)
    image = np.zeros((1, SIZE, SIZE), np.float32)
    image[0, 0] = np.random.default_rng(seed + 100).normal(size=SIZE)
    logits = model.logits(image[None])[0]
    prediction = Prediction(
        class_index=int(logits.argmax()), probability=1.0, probabilities=softmax(logits), logits=logits
    )
    models = MorphingModels(model, model, model, model)
    start = morph_start.choose(models, image, pair, prediction, np.random.default_rng(35), Budget())

    random = np.random.default_rng(35)
    mean, deviation = model.encode(image[None])
    for widening in morph_start.WIDENINGS:
        noise = random.standard_normal((morph_start.SAMPLES, SIZE))
        codes = np.concatenate([mean, mean + widening * deviation * noise]).astype(np.float32)
        best = _closest_by_definition(model, image, codes, pair, logits)
        if best is not None:
            break
    if best is None:
        assert start.top_class is None
    else:
        np.testing.assert_array_equal(start.code, best)
        np.testing.assert_array_equal(start.decoded.image, model.decode(best[None]))
    np.testing.assert_array_equal(start.decoded.logits, model.logits(start.decoded.image)[0])


def _closest_by_definition(
    model: _Scattered, image: np.ndarray, codes: np.ndarray, pair: tuple[int, int], own: np.ndarray
) -> np.ndarray | None:
    order = np.argsort(-model.logits(model.decode(codes)), axis=1)[:, :2]
    mine = np.argsort(-own)[:2]
    if mine[0] not in pair:
        fit = np.isin(order[:, 0], pair)
    else:
        fit = (order == mine).all(axis=1)
        fit = fit if fit.any() else order[:, 0] == mine[0]
    distances = np.abs(model.decode(codes) - image).mean(axis=(1, 2, 3), dtype=np.float64)
    return codes[np.argmin(np.where(fit, distances, np.inf))] if fit.any() else None


def test_where_the_closest_is_fit_the_others_are_not_classified() -> None:
    model = _Scattered(3)
    image = np.zeros((1, SIZE, SIZE), np.float32)
    logits = np.array([4.0, 2.0, 0.0, 0.0])
    prediction = Prediction(class_index=0, probability=1.0, probabilities=softmax(logits), logits=logits)
    model.logits = lambda images: _noted(model, len(images)) * logits.astype(np.float32)  # type: ignore[method-assign]
    models = MorphingModels(model, model, model, model)
    start = morph_start.choose(models, image, (0, 1), prediction, np.random.default_rng(35), Budget())
    assert (start.top_class, start.agrees) == (0, True)
    assert model.classified == morph_start.LOOKED_AT_FIRST


def _noted(model: _Scattered, count: int) -> np.ndarray:
    model.classified += count
    return np.ones((count, 1), np.float32)
