"""Images of one data set made to fit where images of another are expected."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from explaind.explanations.types import FloatArray

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow


@dataclass(frozen=True, slots=True)
class Window:
    """The rectangle that in-distribution images use: rows top to bottom, columns left to right, ends excluded.

    Faces lie in the middle of a black square; a photograph that filled the square would be told by its border alone.
    """

    top: int
    bottom: int
    left: int
    right: int

    @property
    def size(self) -> tuple[int, int]:
        return self.bottom - self.top, self.right - self.left


def window_of(images: FloatArray) -> Window:
    """images (B, C, H, W) → the smallest rectangle outside which all are black; the whole image where all are."""
    used = images.max(axis=(0, 1)) > 0
    rows, columns = np.flatnonzero(used.any(axis=1)), np.flatnonzero(used.any(axis=0))
    if not len(rows):
        return Window(0, images.shape[2], 0, images.shape[3])
    return Window(int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)


def kept_to(window: Window, images: NDArray[np.float32]) -> FloatArray:
    """A copy, black outside the window."""
    result = np.zeros(images.shape, np.float32)
    inside = (..., slice(window.top, window.bottom), slice(window.left, window.right))
    result[inside] = images[inside]
    return result


def cropped(window: Window, images: FloatArray) -> FloatArray:
    """(B, C, H, W) → only the window."""
    return images[..., window.top : window.bottom, window.left : window.right]


def converted(images: FloatArray, channels: int, shape: tuple[int, ...], window: Window) -> tuple[FloatArray, str]:
    """images (N, c, h, w) → (N, channels, *shape) and what was done, « (grey, resized)», to stand after a name.

    Colours become grey by their luminance, grey is repeated in every channel; another size is resized, bicubic,
    into the window. Images that have the shape already are left as they are, unless the window is small and they
    reach beyond it.
    """
    done = []
    if images.shape[1] != channels:
        done.append("grey" if channels == 1 else "grey in all channels")
        images = _grey(images) if images.shape[1] > 1 else images
        images = np.repeat(images, channels, axis=1)
    if images.shape[2:] != shape or _told_by_the_border(images, window):
        done.append("resized")
        resized = _resized(images, window.size)
        images = np.zeros((len(images), channels, *shape), np.float32)
        images[..., window.top : window.bottom, window.left : window.right] = resized
    return np.ascontiguousarray(images), f" ({', '.join(done)})" if done else ""


def _told_by_the_border(images: FloatArray, window: Window) -> bool:
    """Whether the window is less than half of the image and these images use more than it."""
    own, (height, width) = window_of(images), images.shape[2:]
    small = 2 * window.size[0] * window.size[1] < height * width
    beyond = own.top < window.top or own.left < window.left or own.bottom > window.bottom or own.right > window.right
    return small and beyond


def _grey(images: FloatArray) -> FloatArray:
    return np.asarray(np.einsum("nchw,c->nhw", images, _GREY), np.float32)[:, None]


def _resized(images: FloatArray, size: tuple[int, int]) -> FloatArray:
    height, width = size
    planes = images.reshape(-1, *images.shape[2:])
    resized = [np.asarray(_plane(plane).resize((width, height), Image.Resampling.BICUBIC)) for plane in planes]
    return np.asarray(np.stack(resized).clip(0, 1), np.float32).reshape(*images.shape[:2], height, width)


def _plane(pixels: FloatArray) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(pixels))
