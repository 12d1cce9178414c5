"""Rows of pictures with titles and captions: the form of every gallery in a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from explaind.figures.canvas import Canvas
from explaind.figures.palette import FAINT, INK, SOFT
from explaind.figures.pictures import Pixels, fitted

_EDGE, _GAP, _TITLE, _CAPTION, _BAR = 16.0, 6.0, 15.0, 13.0, 5.0
_LINE = 1.35
_WIDEST_TITLES = 250.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Picture:
    """pixels (C, H, W) in [0, 1]. attribution: signed (H, W), drawn red and blue over the image made pale. caption:
    below it, in `color`; lines are broken at `\\n`. share: in [0, 1], as a grey bar under the picture. frame: its
    colour."""

    pixels: Pixels
    attribution: Pixels | None = None
    caption: str = ""
    color: str = SOFT
    share: float | None = None
    frame: str = FAINT


def pictures(images: Pixels | Sequence[Pixels], captions: Sequence[str] = ()) -> list[Picture]:
    """images (n, C, H, W), and n captions or none."""
    names = captions or [""] * len(images)
    return [Picture(pixels=pixels, caption=name) for pixels, name in zip(images, names, strict=True)]


def picture_grid(
    rows: Sequence[Sequence[Picture | None]],
    *,
    row_titles: Sequence[str] = (),
    column_titles: Sequence[str] = (),
    size: float = 96,
    width: int = 1200,
) -> Figure:
    """rows of pictures of any shape, their proportions kept; None leaves a place empty.

    size: of a picture's longer side, pixels; less where the rows would not fit into `width`, and the figure is no
    wider than they need. row_titles stand at the left, column_titles above. Captions wider than a picture are broken.
    """
    layout = _Layout(rows, row_titles, column_titles, size, width)
    canvas = Canvas(layout.height(column_titles), layout.width)
    y = _EDGE
    if column_titles:
        for place, title in enumerate(column_titles):
            _lines(canvas, layout.middle(place), y, layout.broken(title, _TITLE), _TITLE, INK)
        y += layout.title_height(column_titles)
    for row, line in enumerate(rows):
        if row_titles:
            _row_title(canvas, y, row_titles[row], layout, layout.picture_height(row))
        for place, picture in enumerate(line):
            if picture is not None:
                _draw(canvas, layout, place, y, picture)
        y += layout.row_height(row)
    return canvas.figure


class _Layout:
    """Where things stand, in pixels."""

    def __init__(
        self,
        rows: Sequence[Sequence[Picture | None]],
        row_titles: Sequence[str],
        column_titles: Sequence[str],
        size: float,
        widest: int,
    ) -> None:
        self._rows = rows
        self._ruler = Canvas(10)
        self.titles = self._title_width(row_titles)
        columns = max(len(row) for row in rows)
        shapes = [p.pixels.shape[1:] for row in rows for p in row if p is not None]
        share = max((fitted(shape, 1, 1)[0] for shape in shapes), default=1.0)
        room = (widest - 2 * _EDGE - self.titles) / columns - _GAP
        self.size = min(size, room / share)
        # A narrow picture's caption still needs room for a word or two, and so does the title of its column.
        self.cell = max(self.size * share, min(max(self._widest_word(), self._widest_title(column_titles)), room))
        self.width = int(2 * _EDGE + self.titles + columns * (self.cell + _GAP))

    def _title_width(self, titles: Sequence[str]) -> float:
        lines = [line for title in titles for line in self.broken(title, _TITLE, _WIDEST_TITLES)]
        return max((self._ruler.measure(line, _TITLE) for line in lines), default=0.0) + 14 if titles else 0.0

    def _widest_word(self) -> float:
        words = {word for row in self._rows for p in row if p is not None for word in p.caption.split()}
        return max((self._ruler.measure(word, _CAPTION) for word in words), default=0.0)

    def _widest_title(self, titles: Sequence[str]) -> float:
        return max((self._ruler.measure(word, _TITLE) for title in titles for word in title.split()), default=0.0)

    def middle(self, place: int) -> float:
        return _EDGE + self.titles + place * (self.cell + _GAP) + self.cell / 2

    def broken(self, text: str, size: float, width: float | None = None) -> list[str]:
        """Lines no wider than a cell, where words allow."""
        return [line for part in text.split("\n") for line in self._ruler.broken(part, size, width or self.cell)]

    def picture_height(self, row: int) -> float:
        shown = [p for p in self._rows[row] if p is not None]
        return max((fitted(p.pixels.shape[1:], self.size, self.size)[1] for p in shown), default=self.size)

    def row_height(self, row: int) -> float:
        shown = [p for p in self._rows[row] if p is not None]
        lines = max((len(self.broken(p.caption, _CAPTION)) for p in shown if p.caption), default=0)
        bar = _BAR + 4 if any(p.share is not None for p in shown) else 0
        return self.picture_height(row) + bar + (4 + lines * _CAPTION * _LINE if lines else 0) + _GAP + 2

    def title_height(self, titles: Sequence[str]) -> float:
        return max(len(self.broken(title, _TITLE)) for title in titles) * _TITLE * _LINE + 4

    def height(self, column_titles: Sequence[str]) -> int:
        heads = self.title_height(column_titles) if column_titles else 0
        return int(2 * _EDGE + heads + sum(self.row_height(row) for row in range(len(self._rows))))


def _draw(canvas: Canvas, layout: _Layout, place: int, y: float, picture: Picture) -> None:
    width, height = fitted(picture.pixels.shape[1:], layout.size, layout.size)
    x = layout.middle(place) - width / 2
    if picture.attribution is None:
        canvas.image(x, y, layout.size, picture.pixels, frame=picture.frame)
    else:
        canvas.attribution(x, y, layout.size, picture.pixels, picture.attribution)
    below = y + height + 3
    if picture.share is not None:
        canvas.box(x, below, width, _BAR, FAINT)
        canvas.box(x, below, max(width * min(max(picture.share, 0), 1), 0.5), _BAR, SOFT)
        below += _BAR + 3
    _lines(canvas, layout.middle(place), below, layout.broken(picture.caption, _CAPTION), _CAPTION, picture.color)


def _row_title(canvas: Canvas, y: float, title: str, layout: _Layout, height: float) -> None:
    lines = layout.broken(title, _TITLE, layout.titles - 12)
    top = y + max((height - len(lines) * _TITLE * _LINE) / 2, 0)
    for line in lines:
        canvas.text(_EDGE, top, line, _TITLE, INK)
        top += _TITLE * _LINE


def _lines(canvas: Canvas, x: float, y: float, lines: Sequence[str], size: float, color: str) -> None:
    for line in lines:
        canvas.text(x, y, line, size, color, ha="center")
        y += size * _LINE
