"""Deletion curves of a classifier whose one pixel is known."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.errors import ShapeMismatch
from explaind.explanations.types import FloatArray
from explaind.training.evaluation.truth.deletion import SHARES, area_under, deletion_curves


class _OnePixel:
    """Class 0 while pixel (4, 4) is bright, else class 1."""

    def logits(self, images: FloatArray) -> FloatArray:
        bright = images[:, 0, 4, 4] * 20 - 10
        return np.stack([bright, -bright], axis=1)


def _ends() -> tuple[FloatArray, FloatArray]:
    return np.ones((1, 1, 10, 10), np.float32), np.zeros((1, 1, 10, 10), np.float32)


def test_the_decision_falls_where_its_pixel_goes() -> None:
    first, last = np.zeros((2, 1, 10, 10))
    first[0, 4, 4], last[0, 4, 4] = 1, -1
    early, late = (deletion_curves(_OnePixel(), *_ends(), [0], order) for order in (first, last))
    assert early[0, 0] == pytest.approx(1) and np.all(early[0, 1:] < 1e-6)
    assert np.all(late[0, :-1] > 1 - 1e-6) and late[0, -1] < 1e-6
    assert area_under(early)[0] == pytest.approx(SHARES[1] / 2) and area_under(late)[0] > 0.9


def test_an_area_is_the_curves_mean() -> None:
    assert area_under(np.ones((2, len(SHARES)))) == pytest.approx(1)
    assert area_under(np.asarray(1 - SHARES)[None])[0] == pytest.approx(0.5)
    assert SHARES[0] == 0 and SHARES[-1] == 1 and np.all(np.diff(SHARES) > 0)


def test_ends_and_orders_that_do_not_match_are_refused() -> None:
    own, other = _ends()
    with pytest.raises(ShapeMismatch, match=r"an order \(1, 9, 10\) and 1 classes do not match"):
        deletion_curves(_OnePixel(), own, other, [0], np.zeros((1, 9, 10)))
    with pytest.raises(ShapeMismatch, match="2 classes do not match"):
        deletion_curves(_OnePixel(), own, other, [0, 1], np.zeros((1, 10, 10)))
