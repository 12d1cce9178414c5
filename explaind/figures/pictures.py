"""Images as pictures: grey or colour, and a signed attribution laid over a pale image in red and blue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explaind.figures.palette import BLUE, RED, rgb

Pixels = NDArray[np.float32]

_PALE = np.float32(0.38)
"""How dark the image's brightest pixel is under an attribution."""


def as_picture(pixels: Pixels) -> Pixels:
    """(C, H, W) in [0, 1] → (H, W) for grey, (H, W, 3) for colour."""
    return pixels[0] if len(pixels) == 1 else np.moveaxis(pixels[:3], 0, -1)


def pale(pixels: Pixels) -> Pixels:
    """(C, H, W) → (H, W): the image as pale ink on paper, for an overlay to stand out on."""
    return np.asarray(1 - _PALE * pixels.mean(axis=0), dtype=np.float32)


def overlay(attribution: Pixels, top: float | None = None) -> Pixels:
    """Signed (H, W) → (H, W, 4): red where positive, blue where negative, the fuller the stronger.

    top: the magnitude drawn fullest; None: this attribution's own. Give one number to pictures that are compared.
    """
    top = top or float(np.max(np.abs(attribution))) or 1.0
    colored = np.zeros((*attribution.shape, 4), np.float32)
    colored[..., :3] = np.where(attribution[..., None] > 0, rgb(RED), rgb(BLUE))
    colored[..., 3] = np.clip(np.abs(attribution) / top, 0, 1) ** 0.7 * 0.95
    return colored


def fitted(shape: tuple[int, ...], width: float, height: float) -> tuple[float, float]:
    """(width, height) of the largest picture of this (H, W, …) shape in a box, its proportions kept."""
    scale = min(width / shape[1], height / shape[0])
    return shape[1] * scale, shape[0] * scale
