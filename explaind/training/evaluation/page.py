"""A Markdown page with its figures beside it, written piece by piece and put in its place whole."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from explaind.errors import ConfigurationError

DPI = 100


class Page:
    """folder: `docs/results/<bundle>`; figures go into it as PNG while the page is written, the text at `save`.

    level: of the title; 2 for a section, which `evaluate` puts on the bundle's page.
    """

    def __init__(self, folder: Path, title: str, level: int = 1) -> None:
        self._folder = folder
        self._blocks = [f"{'#' * level} {title}"]
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be made ({error.strerror}); name another folder.") from error

    def heading(self, text: str, level: int = 3) -> None:
        """Within a section, level 3; a page that is written alone has 2 below its title."""
        self._blocks.append(f"{'#' * level} {text}")

    def text(self, markdown: str) -> None:
        self._blocks.append(markdown.strip())

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Numbers are written by `number`; a cell that is text is written as it is."""
        lines = [
            row_of(header),
            row_of(["---"] * len(header)),
            *(row_of([cell(value) for value in row]) for row in rows),
        ]
        self._blocks.append("\n".join(lines))

    def figure(self, name: str, figure: Figure, caption: str) -> None:
        """name: of the file, without its ending; unique on the page."""
        figure.set_dpi(DPI)
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
        # Without the opacity that matplotlib writes, a file is a tenth smaller; and nothing in it tells the date.
        pixels = np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
        Image.fromarray(pixels).save(self._folder / f"{name}.png", optimize=True)
        self._blocks.append(f"![{caption}]({name}.png)\n\n*{caption}*")

    def markdown(self) -> str:
        """What is written so far."""
        return "\n\n".join(self._blocks)

    def save(self) -> Path:
        """Writes README.md whole and returns its path."""
        path = self._folder / "README.md"
        temporary = path.with_suffix(".partial")
        temporary.write_text(self.markdown() + "\n", encoding="utf-8")
        temporary.replace(path)
        return path


def cell(value: object) -> str:
    """Three significant digits are what such measurements hold; p-values and rates keep their four places."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "–" if value != value else f"{value:.4g}"
    return "–" if value is None else str(value)


def row_of(cells: Sequence[str]) -> str:
    """A bar would end the cell and a line break the row."""
    escaped = [text.replace("|", "\\|").replace("\n", " ") for text in cells]
    return f"| {' | '.join(escaped)} |"
