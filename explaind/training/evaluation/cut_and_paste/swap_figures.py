"""Drawings of swapped regions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from explaind.figures.palette import GREEN, RED
from explaind.figures.picture_grid import Picture, picture_grid
from explaind.training.evaluation.cut_and_paste.swaps import Answers, Swap

_TITLES = (
    "first image",
    "second image",
    "region",
    "first, region of second",
    "second, region of first",
    "control region",
    "first, control of second",
    "second, control of first",
)


def gallery(swaps: Sequence[Swap], region: Answers, control: Answers, names: Sequence[str]) -> Figure:
    """A swap a row. Green: the answer goes with the region, and stays with the image where the control is swapped."""
    rows = [_row(swap, _at(region, i), _at(control, i), names) for i, swap in enumerate(swaps)]
    return picture_grid(rows, column_titles=_TITLES, size=116)


def _at(answers: Answers, place: int) -> list[tuple[int, bool, bool]]:
    rows = (answers.seen[place], answers.followed[place], answers.kept[place])
    return [(int(seen), bool(followed), bool(kept)) for seen, followed, kept in zip(*rows, strict=True)]


def _row(
    swap: Swap, region: list[tuple[int, bool, bool]], control: list[tuple[int, bool, bool]], names: Sequence[str]
) -> list[Picture | None]:
    own = [Picture(pixels=image, caption=names[k]) for image, k in zip(swap.images, swap.classes, strict=True)]
    swapped = [
        _pasted(pixels, names[seen], followed)
        for pixels, (seen, followed, _) in zip(swap.pasted(swap.region), region, strict=True)
    ]
    controlled = [
        _pasted(pixels, names[seen], kept)
        for pixels, (seen, _, kept) in zip(swap.pasted(swap.control), control, strict=True)
    ]
    return [*own, _shape(swap.region), *swapped, _shape(swap.control), *controlled]


def _shape(region: np.ndarray[tuple[int, int], np.dtype[np.bool_]]) -> Picture:
    return Picture(pixels=region[None].astype(np.float32))


def _pasted(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]], seen: str, expected: bool) -> Picture:
    color = GREEN if expected else RED
    return Picture(pixels=pixels, caption=f"as {seen}", color=color, frame=color)
