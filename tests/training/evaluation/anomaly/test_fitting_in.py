"""Images of one set, made to fit where images of another are expected."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.types import FloatArray
from explaind.training.evaluation.anomaly.fitting_in import Window, converted, cropped, kept_to, window_of


def _framed() -> FloatArray:
    """Two 12 × 10 images: one uses rows 3–6, the other columns 2–5; together rows 3–6, columns 2–8."""
    images = np.zeros((2, 1, 12, 10), np.float32)
    images[0, 0, 3:7, 4:9] = 0.5
    images[1, 0, 4, 2:6] = 1.0
    return images


def test_the_window_is_what_any_image_uses() -> None:
    assert window_of(_framed()) == Window(top=3, bottom=7, left=2, right=9)
    assert window_of(_framed()).size == (4, 7)


def test_black_images_have_the_whole_image_as_their_window() -> None:
    assert window_of(np.zeros((3, 1, 5, 6), np.float32)) == Window(0, 5, 0, 6)


def test_what_is_kept_to_a_window_is_black_outside_and_a_copy() -> None:
    images = np.ones((2, 3, 12, 10), np.float32)
    kept = kept_to(window_of(_framed()), images)
    assert kept.sum() == 2 * 3 * 4 * 7
    assert (cropped(window_of(_framed()), kept) == 1).all()
    assert images.min() == 1


def test_images_of_the_right_shape_are_left_alone() -> None:
    images = np.random.default_rng(1).random((4, 1, 12, 10), dtype=np.float32)
    same, how = converted(images, 1, (12, 10), Window(0, 11, 0, 10))
    assert np.array_equal(same, images)
    assert how == ""


def test_images_that_a_black_border_would_tell_are_brought_into_the_window() -> None:
    images = np.full((2, 1, 12, 10), 0.5, np.float32)
    fitted, how = converted(images, 1, (12, 10), Window(3, 7, 2, 9))
    assert how == " (resized)"
    assert window_of(fitted) == Window(3, 7, 2, 9)
    framed = _framed()
    assert np.array_equal(converted(framed, 1, (12, 10), Window(3, 7, 2, 9))[0], framed)


def test_another_size_is_resized_into_the_window() -> None:
    images = np.full((2, 1, 30, 30), 0.5, np.float32)
    fitted, how = converted(images, 1, (12, 10), Window(3, 7, 2, 9))
    assert how == " (resized)"
    assert fitted.shape == (2, 1, 12, 10)
    assert np.allclose(fitted[..., 3:7, 2:9], 0.5)
    assert fitted.sum() == pytest.approx(2 * 4 * 7 * 0.5)


def test_resizing_keeps_a_picture_the_right_way_up() -> None:
    image = np.zeros((1, 1, 8, 8), np.float32)
    image[0, 0, :2, :4] = 1
    fitted, _ = converted(image, 1, (16, 16), Window(0, 16, 0, 16))
    assert fitted[0, 0, :3, :7].mean() > 0.8
    assert abs(fitted[0, 0, 6:].mean()) < 0.02


def test_colours_become_grey_by_their_luminance_and_grey_every_colour() -> None:
    colors = np.stack([np.full((1, 4, 4), value, np.float32) for value in (1.0, 0.5, 0.0)], axis=1)
    grey, how = converted(colors, 1, (4, 4), Window(0, 4, 0, 4))
    assert how == " (grey)"
    assert np.allclose(grey, 0.299 + 0.587 * 0.5)
    three, how = converted(grey, 3, (4, 4), Window(0, 4, 0, 4))
    assert how == " (grey in all channels)"
    assert three.shape == (1, 3, 4, 4)
    assert np.ptp(three, axis=1).max() == 0


def test_pixels_stay_in_range_where_bicubic_resizing_overshoots() -> None:
    stripes = np.zeros((1, 1, 20, 20), np.float32)
    stripes[..., ::4] = 1
    fitted, _ = converted(stripes, 3, (33, 31), Window(0, 33, 0, 31))
    assert fitted.min() >= 0
    assert fitted.max() <= 1
