"""Drawings of path masks: an image, what it is compared with, which pixels decide, and which way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from explaind.explanations.types import FloatArray, PathMask, PathMaskOutcome
from explaind.figures.palette import RED, SOFT
from explaind.figures.picture_grid import Picture, picture_grid

COLUMNS = ("image", "reconstruction", "other", "mask", "self, not other")
_GAP: list[Picture | None] = [None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """note: below the image, as in `seen as 5`. self_name, other_name: the classes that the mask tells apart."""

    image: FloatArray
    result: PathMask
    note: str
    self_name: str
    other_name: str


def gallery(shown: Sequence[Shown], *, size: float = 104) -> Figure:
    """An image a row, or two a row from five on."""
    rows = [_row(each) for each in shown]
    if len(rows) <= 4:
        return picture_grid(rows, column_titles=COLUMNS, size=size)
    half = (len(rows) + 1) // 2
    blank: list[Picture | None] = [None] * len(COLUMNS)
    left, right = rows[:half], [*rows[half:], *([blank] if len(rows) % 2 else [])]
    joined = [[*a, *_GAP, *b] for a, b in zip(left, right, strict=True)]
    return picture_grid(joined, column_titles=(*COLUMNS, "", *COLUMNS), size=size)


def _row(each: Shown) -> list[Picture | None]:
    result = each.result
    solved = result.outcome in (PathMaskOutcome.CONVERGED, PathMaskOutcome.BEST_SO_FAR)
    area = float((result.mask > 0.5).mean())
    return [
        Picture(pixels=each.image, caption=each.note),
        Picture(pixels=result.reconstruction),
        Picture(
            pixels=result.other_image,
            caption=f"as {each.other_name}" if solved else "no morph",
            color=SOFT if solved else RED,
        ),
        Picture(pixels=result.mask[None].astype(np.float32), caption=f"area {area:.2f}" if solved else ""),
        Picture(
            pixels=result.reconstruction,
            attribution=result.attribution,
            caption=f"{each.self_name}, not {each.other_name}\nT {result.probability_change:.2f}" if solved else "",
        ),
    ]  # fmt: skip
