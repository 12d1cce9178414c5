"""A sheet addressed in pixels from its top left corner, so that nothing is placed by chance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle

from explaind.figures.palette import FAINT, INK, PAPER
from explaind.figures.pictures import Pixels, as_picture, fitted, overlay, pale

DPI = 100
WIDTH = 1200
MARGIN = 48


class Canvas:
    """height, width: pixels. Text sizes are in pixels too."""

    def __init__(self, height: int, width: int = WIDTH) -> None:
        self.height, self.width = height, width
        self._figure: Any = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor=PAPER)
        agg: Any = FigureCanvasAgg(self._figure)
        self._renderer = agg.get_renderer()
        # One set of axes for all pictures and boxes: a hundred of them would take seconds.
        self._sheet = self.axes(0, 0, width, height)
        self._sheet.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)

    def axes(self, x: float, y: float, width: float, height: float) -> Axes:
        """Bare axes over a rectangle."""
        axes: Axes = self._figure.add_axes(
            (x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height), frame_on=False
        )
        axes.set_xticks([])
        axes.set_yticks([])
        return axes

    def text(self, x: float, y: float, text: str, size: float, color: str = INK, **style: Any) -> float:
        """Writes with the top at y; returns the right edge in pixels."""
        style = {"ha": "left", "va": "top", **style}
        drawn = self._figure.text(
            x / self.width, 1 - y / self.height, text, fontsize=size * 72 / DPI, color=color, parse_math=False, **style
        )
        return float(drawn.get_window_extent(self._renderer).x1)

    def wrapped(self, x: float, y: float, text: str, size: float, width: float, color: str = INK) -> float:
        """Writes lines no wider than `width`; returns the y below them."""
        for row in self.broken(text, size, width):
            self.text(x, y, row, size, color)
            y += size * 1.4
        return y

    def broken(self, text: str, size: float, width: float) -> list[str]:
        """Lines no wider than `width`, broken between words; a longer word stands alone."""
        lines, line = [], ""
        for word in text.split():
            trial = f"{line} {word}".strip()
            if line and self.measure(trial, size) > width:
                lines.append(line)
                line = word
            else:
                line = trial
        return [*lines, line]

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

    def image(
        self,
        x: float,
        y: float,
        size: float,
        pixels: Pixels,
        *,
        frame: str = FAINT,
        line: float = 1,
        middle: bool = False,
    ) -> None:
        """pixels: C×H×W in [0, 1]; grey as it is, white on black. The longer side fills `size`; framed."""
        width, height = fitted(pixels.shape[1:], size, size)
        left = x + (size - width) / 2 if middle else x
        self.picture(left, y, size, as_picture(pixels))
        self.frame(left, y, width, height, frame, line)

    def picture(self, x: float, y: float, size: float, picture: Pixels) -> None:
        """picture: H×W grey, or H×W×3 or 4, in [0, 1], as large as `size` squared holds; one may lie over another."""
        width, height = fitted(picture.shape, size, size)
        extent = (x, x + width, y + height, y)
        self._sheet.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=extent, aspect="auto")

    def attribution(self, x: float, y: float, size: float, pixels: Pixels, signed: Pixels) -> None:
        """pixels C×H×W; signed H×W: red and blue over the image, which is drawn as pale ink on paper."""
        self.picture(x, y, size, pale(pixels))
        self.picture(x, y, size, overlay(signed))
        self.frame(x, y, *fitted(signed.shape, size, size))

    def frame(self, x: float, y: float, width: float, height: float, color: str = FAINT, line: float = 1) -> None:
        self._sheet.add_patch(Rectangle((x, y), width, height, fill=False, ec=color, lw=line * 72 / DPI, zorder=2))

    def box(self, x: float, y: float, width: float, height: float, color: str) -> None:
        self._sheet.add_patch(Rectangle((x, y), width, height, color=color, lw=0))

    def pill(self, x: float, y: float, width: float, height: float, color: str) -> None:
        style = f"round,pad=0,rounding_size={height / 2}"
        self._sheet.add_patch(FancyBboxPatch((x, y), width, height, boxstyle=style, color=color, lw=0))

    @property
    def figure(self) -> Figure:
        """For a report's page, which saves figures itself."""
        figure: Figure = self._figure
        return figure

    def save(self, path: Path) -> None:
        # No date and no version in the file: the same answer makes the same picture.
        self._figure.savefig(path, dpi=DPI, format="png", metadata={"Software": None})
