"""Pictures keep their proportions, stay on the sheet, and red and blue mean what they mean."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from explaind.figures.canvas import Canvas
from explaind.figures.palette import BLUE, RED, rgb
from explaind.figures.picture_grid import Picture, picture_grid, pictures
from explaind.figures.pictures import Pixels, as_picture, fitted, overlay

PERSON, FACE = (3, 128, 64), (1, 32, 32)


def _noise(shape: tuple[int, ...], seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def _drawn(figure: Figure) -> Pixels:
    """The figure's pixels (H, W, 3)."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(np.float32) / 255


def _extents(figure: Figure) -> list[tuple[float, float]]:
    """(width, height) of every picture on the sheet, pixels."""
    images = figure.axes[0].images
    return [(abs(e[1] - e[0]), abs(e[3] - e[2])) for e in (image.get_extent() for image in images)]


def test_pictures_of_different_shapes_keep_theirs() -> None:
    figure = picture_grid([pictures(_noise((4, *PERSON))), pictures(_noise((4, *FACE)))], size=100)
    assert _extents(figure) == [(50.0, 100.0)] * 4 + [(100.0, 100.0)] * 4


def test_too_many_for_the_width_are_made_smaller() -> None:
    figure = picture_grid([pictures(_noise((30, *FACE)))], size=100, width=600)
    assert figure.bbox.width <= 600 and max(width for width, _ in _extents(figure)) < 20


def test_no_text_leaves_the_sheet_or_touches_another() -> None:
    rows = [[Picture(pixels=_noise(PERSON), caption=f"read as person {i}, p = 0.0{i}", share=0.5) for i in range(6)]]
    figure = picture_grid(
        rows,
        row_titles=["people on a street, wrongly classified"],
        column_titles=[f"step {i} of the path" for i in range(6)],
    )
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts if text.get_text()]
    assert len(boxes) > 12
    for box in boxes:
        assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y0 >= 0 and box.y1 <= figure.bbox.height
    for place, one in enumerate(boxes):
        assert not any(one.overlaps(other) for other in boxes[place + 1 :])


def test_titles_of_narrow_columns_keep_apart() -> None:
    """A strip of small pedestrians is narrower than the numbers above it."""
    figure = picture_grid([pictures(_noise((10, *PERSON)))], column_titles=["−3.0", "−2.3", *"12345678"], size=60)
    renderer = FigureCanvasAgg(figure).get_renderer()
    first, second = (text.get_window_extent(renderer) for text in figure.texts[:2])
    assert first.x1 + 4 < second.x0


def test_brighter_is_red_and_darker_is_blue() -> None:
    signed = np.zeros((32, 32), np.float32)
    signed[:8], signed[-8:] = 1, -1
    colored = overlay(signed)
    assert np.allclose(colored[0, 0, :3], rgb(RED)) and np.allclose(colored[-1, 0, :3], rgb(BLUE))
    assert colored[16, 16, 3] == 0 and colored[0, 0, 3] == pytest.approx(0.95)
    assert overlay(signed, top=2.0)[0, 0, 3] < 0.95
    assert np.all(overlay(np.zeros((4, 4), np.float32))[..., 3] == 0)
    drawn = _drawn(picture_grid([[Picture(pixels=np.zeros(FACE, np.float32), attribution=signed)]], size=96))
    top, bottom = drawn[20:36, 40:80].mean(axis=(0, 1)), drawn[90:106, 40:80].mean(axis=(0, 1))
    assert top[0] > top[2] + 0.3 and bottom[2] > bottom[0] + 0.3


def test_a_place_may_stay_empty() -> None:
    rows = [[None, Picture(pixels=_noise(FACE))], [Picture(pixels=_noise(FACE)), None]]
    assert len(_extents(picture_grid(rows))) == 2


def test_the_same_grid_makes_the_same_pixels() -> None:
    one, other = (_drawn(picture_grid([pictures(_noise((3, *PERSON)), ["a", "b", "c"])])) for _ in range(2))
    assert np.array_equal(one, other)


def test_colour_and_grey_become_pictures() -> None:
    assert as_picture(_noise(PERSON)).shape == (128, 64, 3) and as_picture(_noise(FACE)).shape == (32, 32)
    assert fitted((128, 64), 100, 100) == (50.0, 100.0) and fitted((20, 40, 3), 100, 100) == (100.0, 50.0)


def test_a_canvas_breaks_words_at_its_width() -> None:
    canvas = Canvas(100)
    lines = canvas.broken("one two three four five six seven", 15, 80)
    assert len(lines) > 2 and " ".join(lines) == "one two three four five six seven"
    assert all(canvas.measure(line, 15) <= 80 for line in lines)
