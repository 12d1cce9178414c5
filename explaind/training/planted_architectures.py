"""Networks for the planted causes, 32 × 32 grey: small, since the images are simple and four are trained a bundle."""

from __future__ import annotations

from explaind.training.layer_tables import (
    FLATTEN,
    SIGMOID,
    AutoencoderTable,
    ClassifierTable,
    ImageShape,
    Layer,
    conv,
    dense,
    linear,
    max_pool,
    reshape,
)

SHAPE: ImageShape = (1, 32, 32)
LATENTS = 8
_PIXELS = 32 * 32


def classifier(image_shape: ImageShape, classes: int = 2) -> ClassifierTable:
    """Three halvings by strided convolutions. Raises ValueError for other images than 1×32×32."""
    _require_shape(image_shape)
    convolutions = (*conv(1, 16, 4, 2, 1), *conv(16, 32, 4, 2, 1), *conv(32, 32, 4, 2, 1))
    layers = (*convolutions, FLATTEN, *dense(32 * 4 * 4, 96), linear(96, classes))
    return ClassifierTable(image_shape=SHAPE, classes=classes, layers=layers)


def judge(image_shape: ImageShape, classes: int = 2) -> ClassifierTable:
    """Pooling and leaky ReLUs, so that it errs elsewhere than `classifier`. Raises ValueError as that does."""
    _require_shape(image_shape)
    leaky: Layer = {"kind": "leaky_relu", "slope": 0.1}
    blocks = (
        *conv(1, 12, 3, 1, 1, activation=leaky), max_pool(2),
        *conv(12, 24, 3, 1, 1, activation=leaky), max_pool(2),
        *conv(24, 24, 3, 1, 1, activation=leaky), max_pool(2),
    )  # fmt: skip
    return ClassifierTable(
        image_shape=SHAPE, classes=classes, layers=(*blocks, FLATTEN, *dense(24 * 4 * 4, 48), linear(48, classes))
    )


def dense_autoencoder(image_shape: ImageShape, latents: int = LATENTS) -> AutoencoderTable:
    """Fully connected. In a trial it rebuilt these images better after 15 epochs than convolutions did after 28, in a
    third of the time an epoch. Raises ValueError for other images than 1×32×32."""
    _require_shape(image_shape)
    decoder = (*dense(latents, 128, bias=True), *dense(128, 256), linear(256, _PIXELS), SIGMOID, reshape(*SHAPE))
    trunk = (FLATTEN, *dense(_PIXELS, 256), *dense(256, 128))
    return AutoencoderTable(image_shape=SHAPE, latents=latents, features=128, trunk=trunk, decoder=decoder)


def _require_shape(image_shape: ImageShape) -> None:
    if image_shape != SHAPE:
        given = "×".join(map(str, image_shape))
        raise ValueError(f"the networks for planted causes are for images 1×32×32, the data set's are {given}")
