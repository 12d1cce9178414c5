"""Drawings of morphs: the way from one class to another, the doubtful ones, and how natural the ends are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from explaind.explanations.types import DoubleArray, FloatArray
from explaind.figures.charts import chart, legend
from explaind.figures.palette import CONTROL, GREEN, OURS, RED, SOFT, THEIRS
from explaind.figures.picture_grid import Picture, picture_grid
from explaind.training.evaluation.morphing.morphs import NATURAL

_LEAST = 1e-4


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """An end's picture and what is said of it. judge: the class it sees; p_value nan or judge "": nobody to ask."""

    image: FloatArray
    found: bool
    target: str
    judge: str
    p_value: float

    @property
    def doubtful(self) -> bool:
        return not self.found or bool(self.judge and self.judge != self.target) or self.p_value < NATURAL

    def picture(self) -> Picture:
        told = [f"judge: {self.judge}"] if self.judge else []
        told += [f"p {self.p_value:.2g}"] if self.p_value == self.p_value else []
        color = RED if self.doubtful else GREEN
        heading = f"→ {self.target}" if self.found else f"not {self.target}"
        return Picture(pixels=self.image, caption="\n".join([heading, *told]), color=color, frame=color)


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """One image's morph. label: its true class; seen_as: the prediction; between (n, C, H, W): on the way; slow:
    where the source's solver ends."""

    image: FloatArray
    label: str
    seen_as: str
    reconstruction: FloatArray
    between: FloatArray
    end: Ending
    slow: Ending | None = None


def gallery(examples: Sequence[Example]) -> Figure:
    """A column an image, from above to below the way that it goes."""
    ways = range(len(examples[0].between))
    rows: list[list[Picture | None]] = [
        [Picture(pixels=e.image, caption=_seen(e)) for e in examples],
        [Picture(pixels=e.reconstruction) for e in examples],
        *_ways(examples, ways),
        [e.end.picture() for e in examples],
    ]
    titles = ["image", "reconstruction", *(f"{i + 1}/{len(ways) + 1} of the way" for i in ways), "morph"]
    if any(e.slow is not None for e in examples):
        rows.append([None if e.slow is None else e.slow.picture() for e in examples])
        titles.append("source's solver")
    return picture_grid(rows, row_titles=titles, size=98)


def _ways(examples: Sequence[Example], ways: range) -> list[list[Picture | None]]:
    return [[Picture(pixels=e.between[i]) for e in examples] for i in ways]


def _seen(example: Example) -> str:
    return example.label if example.label == example.seen_as else f"{example.label}, seen as {example.seen_as}"


def naturalness(fast: DoubleArray, slow: DoubleArray) -> Figure:
    """other_p_value of both solvers' ends: the share of ends at or under each value."""
    figure, (axes,) = chart(900, 380)
    even = np.geomspace(_LEAST, 1, 200)
    axes.plot(even, even, color=CONTROL, lw=1.5, ls="--", label="reconstructions of held-out images")
    for values, color, name in ((fast, OURS, "FAST"), (slow, THEIRS, "the source's solver")):
        if len(values):
            axes.ecdf(np.maximum(values, _LEAST), color=color, lw=2, label=name)
    axes.axvline(NATURAL, color=SOFT, lw=1, ls=":")
    axes.set(xscale="log", xlim=(_LEAST, 1), ylim=(0, 1), xlabel="other_p_value", ylabel="share of ends at or under it")
    # Above the panel: within it, ends that are far from natural would run through the words.
    legend(axes, loc="lower left", ncols=3, bbox_to_anchor=(0, 1.0))
    return figure
