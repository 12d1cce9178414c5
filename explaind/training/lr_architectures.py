"""The networks of [LR] Tables 2 and 3 (ARCHITECTURES.md), for any image whose sides are multiples of 32.

Five convolutions 4 × 4 of stride 2, each followed by batch norm and leaky ReLU 0.01; kernel and stride are ours,
the source gives neither. Its own images are 3 × 128 × 64.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

from explaind.training.layer_tables import (
    FLATTEN,
    AutoencoderTable,
    ClassifierTable,
    ImageShape,
    Layer,
    Layers,
    conv,
    conv_transpose,
    dense,
    linear,
    reshape,
    to_image,
)

LATENTS = 32
_HALVINGS = 5
_LEAKY: Layer = {"kind": "leaky_relu", "slope": 0.01}


@dataclass(frozen=True, slots=True)
class Widths:
    """convolutions: output channels of the five. dense: of the fully connected layers after them."""

    convolutions: tuple[int, int, int, int, int]
    dense: tuple[int, ...]


VAE_WIDTHS: Mapping[str, Widths] = {
    "s": Widths((64, 64, 128, 128, 256), (256,)),
    "m": Widths((128, 128, 256, 256, 512), (1024, 128)),
    "l": Widths((256, 256, 256, 512, 512), (1024, 256)),
}
DISCRIMINATOR_WIDTHS = Widths((128, 128, 256, 256, 512), (512, 64))


def autoencoder(size: str, image_shape: ImageShape, latents: int = LATENTS) -> AutoencoderTable:
    """size: `s`, `m` or `l`. image_shape: C of 1 or 3, H and W multiples of 32, else ValueError.

    L1 of the source has 34 latents, L2 64, all others 32.
    """
    widths, sides = VAE_WIDTHS[size], _smallest(image_shape)
    return AutoencoderTable(
        image_shape=image_shape,
        latents=latents,
        features=widths.dense[-1],
        trunk=_trunk(image_shape[0], widths, sides),
        decoder=_decoder(image_shape[0], widths, sides, latents),
    )


def discriminator(image_shape: ImageShape, classes: int = 2) -> ClassifierTable:
    """The source's ends in one logit and a sigmoid: the same function as a softmax over two, which is what a
    classifier is here. image_shape as for `autoencoder`."""
    trunk = _trunk(image_shape[0], DISCRIMINATOR_WIDTHS, _smallest(image_shape))
    layers = (*trunk, linear(DISCRIMINATOR_WIDTHS.dense[-1], classes))
    return ClassifierTable(image_shape=image_shape, classes=classes, layers=layers)


def _smallest(image_shape: ImageShape) -> tuple[int, int]:
    """Sides of the maps after the five halvings."""
    channels, height, width = image_shape
    factor = 2**_HALVINGS
    if channels not in (1, 3) or min(height, width) < factor or height % factor or width % factor:
        raise ValueError(
            f"[LR]'s networks need 1 or 3 channels and sides that are multiples of {factor}, "
            f"not {channels}×{height}×{width}"
        )
    return height // factor, width // factor


def _trunk(channels: int, widths: Widths, sides: tuple[int, int]) -> Layers:
    convolutions = (layer for pair in pairwise((channels, *widths.convolutions))
                    for layer in conv(*pair, 4, 2, 1, activation=_LEAKY))  # fmt: skip
    flat = widths.convolutions[-1] * sides[0] * sides[1]
    fully = (layer for pair in pairwise((flat, *widths.dense)) for layer in dense(*pair, activation=_LEAKY))
    return (*convolutions, FLATTEN, *fully)


def _decoder(channels: int, widths: Widths, sides: tuple[int, int], latents: int) -> Layers:
    """The trunk mirrored; its last transposed convolution gives the image."""
    deepest = widths.convolutions[-1]
    first, *rest = pairwise((latents, *reversed(widths.dense), deepest * sides[0] * sides[1]))
    fully = (layer for pair in rest for layer in dense(*pair, activation=_LEAKY))
    doublings = tuple(layer for pair in pairwise((*reversed(widths.convolutions), channels))
                      for layer in conv_transpose(*pair, 4, 2, 1, activation=_LEAKY))  # fmt: skip
    return (
        *dense(*first, bias=True, activation=_LEAKY),
        *fully,
        reshape(deepest, *sides),
        *to_image(doublings),
    )
