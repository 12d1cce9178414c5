"""The figure says what it is given: every number and name on it, inside it; frames where something is known."""

from __future__ import annotations

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from explaind.figures.palette import INK
from explaind.training.evaluation.disentanglement.disentanglement_figures import information_and_traversals

FACTORS = ("shape", "scale", "orientation", "x", "y")
INFORMATION = np.array([[0.01, 0.02, 0.04, 2.5, 0.03], [0.02, 0.6, 0.05, 0.02, 0.01]])
ENTROPY = np.log([3, 6, 40, 32, 32])


def _figure() -> Figure:
    strips = np.random.default_rng(1).random((2, 10, 1, 64, 64)).astype(np.float32)
    figure = information_and_traversals(
        INFORMATION, ENTROPY, FACTORS, ("z3\nx position", "z7"), strips, np.linspace(-3, 3, 10)
    )
    FigureCanvasAgg(figure).draw()  # type: ignore[no-untyped-call]
    return figure


def test_every_name_and_number_stands_on_it_and_inside_it() -> None:
    figure = _figure()
    assert figure.get_figwidth() * figure.dpi == 1200
    texts = {text.get_text(): text.get_window_extent() for text in figure.texts if text.get_text()}
    expected = {*FACTORS, "z3", "x position", "z7", "2.50", "0.60", "H 1.10", "H 3.69", "−3.0", "3.0"}
    assert expected <= texts.keys()
    width, height = figure.bbox.width, figure.bbox.height
    assert all(box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height for box in texts.values())


def test_a_frame_stands_only_where_a_twentieth_of_the_factor_is_known() -> None:
    """Scale and x; the best latents for shape, orientation and y know as good as nothing."""
    frames = [
        patch
        for axes in _figure().axes
        for patch in axes.patches
        if isinstance(patch, Rectangle) and not patch.get_fill() and to_hex(patch.get_edgecolor()) == INK
    ]
    assert len(frames) == 2
