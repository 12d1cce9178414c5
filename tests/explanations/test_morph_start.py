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
    row: tuple[float, ...], pair: tuple[int, int], own: tuple[float, ...] | None = None, shift: float = 0.0
) -> MorphStart:
    model = _Coordinates(shift)
    image = np.zeros((1, SIZE, SIZE), np.float32)
    image[0, 0] = row
    logits = np.array(row if own is None else own)
    prediction = Prediction(
        class_index=int(logits.argmax()), probability=1.0, probabilities=softmax(logits), logits=logits
    )
    models = MorphingModels(model, model, model, model)
    return morph_start.choose(models, image, pair, prediction, np.random.default_rng(35), Budget())


def test_the_mean_code_wins_where_it_rebuilds_the_image() -> None:
    start = _choose((3.0, 1.0, 0.0), (0, 1))
    assert start.code == pytest.approx([3.0, 1.0, 0.0])
    assert (start.top_class, start.agrees) == (0, True)


def test_a_closer_sample_wins_over_a_mean_that_is_off() -> None:
    start = _choose((3.0, 1.0, 0.0), (0, 1), shift=0.3)
    mean = np.array([3.3, 1.3, 0.3])
    assert np.abs(start.code - [3.0, 1.0, 0.0]).sum() < np.abs(mean - [3.0, 1.0, 0.0]).sum()


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
