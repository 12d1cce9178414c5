"""A sheet addressed in pixels from its top left corner, so that nothing is placed by chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from numpy.typing import NDArray

DPI = 100
WIDTH = 1200
MARGIN = 48
INK, SOFT, FAINT, PAPER = "#1c2127", "#5f6b7a", "#d5dae1", "#ffffff"
RED, BLUE, GREEN = "#c8322b", "#2459b3", "#2f7d4f"

Pixels = NDArray[np.float32]


class Canvas:
    """height: pixels; the width is always 1200. Text sizes are in pixels too."""

    def __init__(self, height: int) -> None:
        self.height = height
        self._figure: Any = Figure(figsize=(WIDTH / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
        agg: Any = FigureCanvasAgg(self._figure)
        self._renderer = agg.get_renderer()
        # One set of axes for all pictures and boxes: a hundred of them would take seconds.
        self._sheet = self.axes(0, 0, WIDTH, height)
        self._sheet.set(xlim=(0, WIDTH), ylim=(height, 0), autoscale_on=False)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Bare axes over a rectangle."""
        axes: Axes = self._figure.add_axes(
            (x / WIDTH, 1 - (y + height) / self.height, width / WIDTH, height / self.height), frame_on=False
        )
        axes.set_xticks([])
        axes.set_yticks([])
        return axes

    def text(self, x: float, y: float, text: str, size: float, color: str = INK, **style: Any) -> float:
        """Writes with the top at y; returns the right edge in pixels."""
        style = {"ha": "left", "va": "top", **style}
        drawn = self._figure.text(
            x / WIDTH, 1 - y / self.height, text, fontsize=size * 72 / DPI, color=color, parse_math=False, **style
        )
        return float(drawn.get_window_extent(self._renderer).x1)

    def wrapped(self, x: float, y: float, text: str, size: float, width: float, color: str = INK) -> float:
        """Writes lines no wider than `width`; returns the y below them."""
        lines, line = [], ""
        for word in text.split():
            trial = f"{line} {word}".strip()
            if line and self.measure(trial, size) > width:
                lines.append(line)
                line = word
            else:
                line = trial
        for row in (*lines, line):
            self.text(x, y, row, size, color)
            y += size * 1.4
        return y

    def text_boxes(self) -> dict[str, tuple[float, float, float, float]]:
        """Left, bottom, right, top of every text in pixels from the bottom left: what a check for clipping needs."""
        boxes = {text.get_text(): text.get_window_extent(self._renderer) for text in self._figure.texts}
        return {text: (box.x0, box.y0, box.x1, box.y1) for text, box in boxes.items() if text}

    def measure(self, text: str, size: float, **style: Any) -> float:
        """Width of a text, in pixels."""
        drawn = self._figure.text(0, 0, text, fontsize=size * 72 / DPI, parse_math=False, **style)
        width = float(drawn.get_window_extent(self._renderer).width)
        drawn.remove()
        return width

    def image(self, x: float, y: float, size: float, pixels: Pixels, *, frame: str = FAINT, line: float = 1) -> None:
        """pixels: C×H×W in [0, 1]; grey as it is, white on black."""
        self.picture(x, y, size, as_picture(pixels))
        self.frame(x, y, size, frame, line)

    def picture(self, x: float, y: float, size: float, picture: Pixels) -> None:
        """picture: H×W grey, or H×W×3 or 4, in [0, 1]; one picture may lie over another."""
        extent = (x, x + size, y + size, y)
        self._sheet.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent, aspect="auto")

    def frame(self, x: float, y: float, size: float, color: str = FAINT, line: float = 1) -> None:
        self._sheet.add_patch(Rectangle((x, y), size, size, fill=False, ec=color, lw=line * 72 / DPI, zorder=2))

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        self._sheet.add_patch(Rectangle((x, y), width, height, color=color, lw=0))

    def pill(self, x: float, y: float, width: float, height: float, color: str) -> None:
        style = f"round,pad=0,rounding_size={height / 2}"
        self._sheet.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, color=color, lw=0))

    def save(self, path: Path) -> None:
        # No date and no version in the file: the same answer makes the same picture.
        self._figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})


def as_picture(pixels: Pixels) -> Pixels:
    """C×H×W → H×W for grey, H×W×3 for colour."""
    return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels[:3], 0, -1)
