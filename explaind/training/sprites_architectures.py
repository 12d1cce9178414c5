"""Networks for dSprites, 64 × 64 grey: the literature's, and lighter ones that learn on a processor in minutes.

No batch norm in the autoencoders, as in the literature: on nearly black images it costs more time than all
convolutions and helps little.
"""

from __future__ import annotations

from explaind.training.layer_tables import (
    FLATTEN,
    RELU,
    SIGMOID,
    AutoencoderTable,
    ClassifierTable,
    ImageShape,
    Layer,
    Layers,
    conv,
    dense,
    linear,
    max_pool,
    reshape,
)

SHAPE: ImageShape = (1, 64, 64)
LATENTS = 10
_SMALL_FLAT = 32 * 4 * 4
_SMALL_FEATURES = 128


def classifier(image_shape: ImageShape, classes: int = 3) -> ClassifierTable:
    """Patches of 4 × 4 pixels, then two halvings. Raises ValueError for other images than 1×64×64."""
    _require_shape(image_shape)
    layers = (*conv(1, 32, 4, 4), *conv(32, 48, 4, 2, 1), *conv(48, 48, 4, 2, 1), FLATTEN,
              *dense(48 * 4 * 4, 96), linear(96, classes))  # fmt: skip
    return ClassifierTable(image_shape=SHAPE, classes=classes, layers=layers)


def judge(image_shape: ImageShape, classes: int = 3) -> ClassifierTable:
    """Pooling and leaky ReLUs, so that it errs elsewhere than `classifier`. Raises ValueError as that does."""
    _require_shape(image_shape)
    leaky: Layer = {"kind": "leaky_relu", "slope": 0.1}
    blocks = (
        *conv(1, 12, 5, 2, 2, activation=leaky), max_pool(2),
        *conv(12, 32, 3, 1, 1, activation=leaky), max_pool(2),
        *conv(32, 48, 3, 1, 1, activation=leaky), max_pool(2),
    )  # fmt: skip
    return ClassifierTable(
        image_shape=SHAPE, classes=classes, layers=(*blocks, FLATTEN, *dense(48 * 4 * 4, 64), linear(64, classes))
    )


def autoencoder(image_shape: ImageShape, latents: int = LATENTS) -> AutoencoderTable:
    """The usual one of the literature (Locatello et al. 2019, Table 1): four halvings, 32, 32, 64, 64 channels, and
    256 features. About 1 ms an image and step on one core. Raises ValueError for other images than 1×64×64."""
    _require_shape(image_shape)
    trunk = (*_halving(1, 32), *_halving(32, 32), *_halving(32, 64), *_halving(64, 64), FLATTEN,
             linear(1024, 256), RELU)  # fmt: skip
    decoder = (linear(latents, 256), RELU, linear(256, 1024), RELU, reshape(64, 4, 4), *_doubling(64, 64),
               *_doubling(64, 32), *_doubling(32, 32), *_doubling(32, 1)[:-1], SIGMOID)  # fmt: skip
    return AutoencoderTable(image_shape=SHAPE, latents=latents, features=256, trunk=trunk, decoder=decoder)


def small_autoencoder(image_shape: ImageShape, latents: int = LATENTS) -> AutoencoderTable:
    """Ours: patches of 4 × 4 pixels first, then two halvings; a third of the time. Raises ValueError as above."""
    _require_shape(image_shape)
    patches: Layer = {"kind": "conv", "in": 1, "out": 32, "kernel": 4, "stride": 4, "padding": 0, "bias": True}
    pixels: Layer = {"kind": "conv_transpose", "in": 32, "out": 1, "kernel": 4, "stride": 4, "padding": 0, "bias": True}
    trunk = (patches, RELU, *_halving(32, 32), *_halving(32, 32), FLATTEN, linear(_SMALL_FLAT, _SMALL_FEATURES), RELU)
    decoder = (linear(latents, _SMALL_FEATURES), RELU, linear(_SMALL_FEATURES, _SMALL_FLAT), RELU, reshape(32, 4, 4),
               *_doubling(32, 32), *_doubling(32, 32), pixels, SIGMOID)  # fmt: skip
    return AutoencoderTable(image_shape=SHAPE, latents=latents, features=_SMALL_FEATURES, trunk=trunk, decoder=decoder)


def _halving(inputs: int, outputs: int) -> Layers:
    return ({"kind": "conv", "in": inputs, "out": outputs, "kernel": 4, "stride": 2, "padding": 1, "bias": True}, RELU)


def _doubling(inputs: int, outputs: int) -> Layers:
    layer: Layer = {"kind": "conv_transpose", "in": inputs, "out": outputs, "kernel": 4, "stride": 2, "padding": 1,
                    "bias": True}  # fmt: skip
    return (layer, RELU)


def _require_shape(image_shape: ImageShape) -> None:
    if image_shape != SHAPE:
        given = "×".join(map(str, image_shape))
        raise ValueError(f"the networks for dSprites are for images 1×64×64, the data set's are {given}")
