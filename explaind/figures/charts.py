"""Plain charts: ink on paper, no frame, text that is legible at the figure's own size."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from numpy.typing import NDArray

from explaind.figures.canvas import DPI
from explaind.figures.palette import FAINT, INK, PAPER, SOFT

TEXT = 10.5
"""Points; 15 pixels."""


def chart(width: int = 900, height: int = 420, *, rows: int = 1, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of width × height pixels and its rows · columns axes, row by row, to draw on with matplotlib."""
    # The padding keeps text off the edges, where a viewer's border would touch it.
    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAPER, layout=layout)
    grid: NDArray[Any] = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).reshape(-1)
    for axes in grid:
        plain(axes)
    return figure, list(grid)


def plain(axes: Axes) -> None:
    """Without box, with faint lines to read values off."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(SOFT)
    axes.tick_params(colors=SOFT, labelsize=TEXT)
    axes.xaxis.label.set(color=INK, fontsize=TEXT)
    axes.yaxis.label.set(color=INK, fontsize=TEXT)
    axes.title.set(color=INK, fontsize=TEXT + 1.5)
    axes.grid(axis="y", color=FAINT, lw=0.7)
    axes.set_axisbelow(True)


def legend(axes: Axes, **place: Any) -> None:
    """Without a box, in the figure's own text size."""
    axes.legend(frameon=False, fontsize=TEXT, labelcolor=INK, **place)
