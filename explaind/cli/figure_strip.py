"""A factor's label, and a strip of what the image becomes as the factor is turned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explaind.figures.canvas import MARGIN, Canvas
from explaind.figures.palette import FAINT, INK, SOFT
from explaind.figures.pictures import Pixels


@dataclass(frozen=True, slots=True)
class Strip:
    """images (N, C, H, W) of a latent from low to high, its top left corner at x, y; width: of all N."""

    x: float
    y: float
    width: float
    images: Pixels
    low: float
    high: float

    @property
    def pitch(self) -> float:
        """From one picture to the next."""
        return self.width / len(self.images)

    def draw(self, canvas: Canvas, response: Sequence[float] = ()) -> float:
        """With a bar under each picture that is as full as the response is high; returns the y below."""
        size = self.pitch - 4
        for place, picture in enumerate(self.images):
            x = self.x + place * self.pitch + 2
            canvas.image(x, self.y, size, picture, middle=True)
            if place < len(response):
                canvas.box(x, self.y + size + 3, size, 5, FAINT)
                canvas.box(x, self.y + size + 3, max(size * response[place], 0.5), 5, SOFT)
        return self.y + size + 9

    def position(self, value: float) -> float:
        """The x of a latent value: the middle of the picture that shows it; at an end where it lies beyond."""
        fraction = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.x + self.pitch / 2 + fraction * (self.width - self.pitch)


def draw_label(canvas: Canvas, y: float, label: str, width: float) -> float:
    """At the left margin, in one line or two smaller ones; returns the y below."""
    fitting = next((size for size in (17, 16, 15) if canvas.measure(label, size) <= width), 0)
    if fitting:
        canvas.text(MARGIN, y + 10, label, fitting, INK)
        return y + 35
    first, rest = _cut(canvas, label, 15, width)
    canvas.text(MARGIN, y + 3, first, 15, INK)
    second, beyond = _cut(canvas, rest, 15, width)
    canvas.text(MARGIN, y + 22, second + ("…" if beyond else ""), 15, INK)
    return y + 44


def _cut(canvas: Canvas, text: str, size: float, width: float) -> tuple[str, str]:
    """(as many words as fit, the rest); a word that is too long by itself is broken."""
    words_ = text.split()
    count = next((n for n in range(len(words_), 0, -1) if canvas.measure(" ".join(words_[:n]), size) <= width), 0)
    if count or not words_:
        return " ".join(words_[:count]), " ".join(words_[count:])
    length = next(n for n in range(len(text), 0, -1) if n == 1 or canvas.measure(text[:n], size) <= width)
    return text[:length], text[length:]
