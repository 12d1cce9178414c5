"""VAEs made for the images at hand: sides of 4 to 8 pixels, doubled until they are the images'.

Ours: for classifiers and images that no source has a network for. Sides that do not divide are brought to ones that
do (`fitting_side`), because a decoder of doublings can make no others.
"""

from __future__ import annotations

from itertools import pairwise

from explaind.training.layer_tables import (
    FLATTEN,
    SIGMOID,
    AutoencoderTable,
    ImageShape,
    Layer,
    Layers,
    conv,
    conv_transpose,
    dense,
    reshape,
)

LEAST, MOST = 16, 224
"""Pixels a side: below, a decoder has no doubling to learn; above, it would have too many for a CPU."""
_BASE = (4, 8)
_WIDTHS = (32, 64, 96, 128, 128)
_NARROW = (16, 32, 48, 64, 64)
_FEATURES = 128


def autoencoder(image_shape: ImageShape, latents: int = 64) -> AutoencoderTable:
    """image_shape: C of 1 or 3, H and W as `fitting_shape` gives them, else ValueError."""
    return _table(image_shape, latents, _WIDTHS)


def narrow_autoencoder(image_shape: ImageShape, latents: int = 16) -> AutoencoderTable:
    """Half as wide, for a ranking space: few latents need few features."""
    return _table(image_shape, latents, _NARROW)


def fitting_shape(height: int, width: int) -> tuple[int, int]:
    """The nearest sides that a fitted VAE can have, at most MOST. Raises ValueError for sides below LEAST."""
    if min(height, width) < LEAST:
        raise ValueError(f"images of {height} × {width} pixels are too small; {LEAST} a side is the least")
    doublings = _doublings(min(height, width, MOST))
    return _nearest(height, doublings), _nearest(width, doublings)


def _nearest(side: int, doublings: int) -> int:
    unit = 1 << doublings
    return max(_BASE[0], round(min(side, MOST) / unit)) * unit


def _doublings(side: int) -> int:
    """As many as leave a smallest map of at least 4 pixels a side: 28 → 7·2², 32 → 4·2³, 100 → 6·2⁴."""
    count = 0
    while side / 2 ** (count + 1) >= _BASE[0]:
        count += 1
    return min(count, len(_WIDTHS))


def _table(image_shape: ImageShape, latents: int, widths: tuple[int, ...]) -> AutoencoderTable:
    channels, height, width = image_shape
    _require(channels, height, width)
    doublings = _doublings(min(height, width))
    used, unit = widths[:doublings], 2**doublings
    deepest, low, wide = used[-1], height // unit, width // unit
    trunk = (
        *(layer for pair in pairwise((channels, *used)) for layer in conv(*pair, 4, 2, 1)),
        FLATTEN,
        *dense(deepest * low * wide, _FEATURES),
    )
    decoder = (
        *dense(latents, _FEATURES, bias=True),
        *dense(_FEATURES, deepest * low * wide),
        reshape(deepest, low, wide),
        *_doubled(channels, used),
    )
    return AutoencoderTable(image_shape=image_shape, latents=latents, features=_FEATURES, trunk=trunk, decoder=decoder)


def _doubled(channels: int, widths: tuple[int, ...]) -> Layers:
    """No batch norm before the sigmoid: it holds the logits near 0, and black stays grey for thousands of updates."""
    inner = (layer for pair in pairwise(reversed(widths)) for layer in conv_transpose(*pair, 4, 2, 1))
    last: Layer = {"kind": "conv_transpose", "in": widths[0], "out": channels, "kernel": 4, "stride": 2, "padding": 1,
                   "bias": True}  # fmt: skip
    return (*inner, last, SIGMOID)


def _require(channels: int, height: int, width: int) -> None:
    if channels not in (1, 3):
        raise ValueError(f"a fitted VAE is for images of 1 or 3 channels, not {channels}")
    if fitting_shape(height, width) != (height, width):
        near = "×".join(map(str, fitting_shape(height, width)))
        raise ValueError(f"a fitted VAE cannot make {height}×{width} pixels; {near} is the nearest it can")
