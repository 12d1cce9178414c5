"""The colours of every figure, each with one meaning. Importing this costs nothing; matplotlib is not needed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

INK, SOFT, FAINT, PAPER = "#1c2127", "#5f6b7a", "#d5dae1", "#ffffff"
"""Text and what matters; text beside it; lines and empty bars; the ground."""

RED, BLUE, GREEN = "#c8322b", "#2459b3", "#2f7d4f"
"""Red: brighter here, or more of it, makes it self rather than other; also a warning. Blue: darker, or less. Green: as
it should be."""

OURS, THEIRS, CONTROL = "#00736b", "#a8680f", "#8c94a0"
"""Our method or figure; the source's; a trivial one that either must beat."""

SERIES = (
    "#4c72b0", "#dd8452", "#55a868", "#8172b3", "#937860", "#da8bc3", "#8c8c8c", "#b5a642", "#64b5cd", "#2f4b5c",
)  # fmt: skip
"""For things that are merely several, classes above all: none of them is the red or the blue that has a meaning."""


def series(index: int) -> str:
    """The colour of class or curve `index`; from the tenth on they repeat."""
    return SERIES[index % len(SERIES)]


def rgb(color: str) -> NDArray[np.float32]:
    """`#rrggbb` → (3,) in [0, 1]."""
    return np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)
