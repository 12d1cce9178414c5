"""Changes drawn on faces, so that what differs is known: sunglasses, a moustache, light from one side.

CBCL's faces are aligned: their eyes lie on rows 3 to 5 of 19, the upper lip on rows 12 and 13.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from explaind.explanations.types import FloatArray
from explaind.training.evaluation.anomaly.fitting_in import Window

SIDE = 19
_DARK = np.float32(0.06)


def sunglasses(faces: FloatArray) -> FloatArray:
    """faces (B, C, 19, 19) → a copy with two dark glasses and a bar over them."""
    worn = faces.copy()
    for left in (2, 11):
        worn[..., 3:7, left : left + 6] = _DARK
    worn[..., 3, 1:18] = _DARK
    return worn


def moustache(faces: FloatArray) -> FloatArray:
    """A dark bar on the upper lip."""
    worn = faces.copy()
    worn[..., 12:14, 5:14] = _DARK
    return worn


def lit_from_the_left(faces: FloatArray) -> FloatArray:
    """Brightness from 1.5 at the left to 0.5 at the right."""
    return np.clip(faces * np.linspace(1.5, 0.5, SIDE, dtype=np.float32), 0, 1)


CHANGES: Mapping[str, tuple[str, Callable[[FloatArray], FloatArray]]] = {
    "sunglasses": ("sunglasses", sunglasses),
    "moustache": ("a moustache", moustache),
    "light": ("light from the left", lit_from_the_left),
}
"""By key: title and change."""


def changed(images: FloatArray, window: Window, change: Callable[[FloatArray], FloatArray]) -> FloatArray:
    """images (B, C, H, W) whose faces fill the window, 19 × 19, → the same with the change drawn in it."""
    result = images.copy()
    inside = (..., slice(window.top, window.bottom), slice(window.left, window.right))
    result[inside] = change(images[inside])
    return result
