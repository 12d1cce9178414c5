"""The networks a recipe may name: layer tables, so that a bundle can describe itself without code or pickle.

No torch here: `backends/torch_networks.py` turns a table into modules. Sources: ARCHITECTURES.md; `pm_…` and
`lr_…` are the theses', the rest is ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from explaind.training import fitted_architectures as fitted
from explaind.training import lr_architectures as lr
from explaind.training import planted_architectures as planted
from explaind.training import pm_architectures as pm
from explaind.training import sprites_architectures as sprites
from explaind.training.layer_tables import (
    FLATTEN,
    SIGMOID,
    AutoencoderTable,
    ClassifierTable,
    ImageShape,
    Layer,
    Layers,
    conv,
    conv_transpose,
    dense,
    dropout,
    linear,
    max_pool,
    reshape,
)

__all__ = [
    "AUTOENCODERS",
    "AUTOENCODER_FAMILIES",
    "CLASSIFIERS",
    "CLASSIFIER_FAMILIES",
    "AutoencoderTable",
    "ClassifierTable",
    "ImageShape",
    "Layer",
    "Layers",
    "autoencoder_table",
    "classifier_table",
]


class AutoencoderFamily(Protocol):
    """Tables of one design for many image shapes."""

    def __call__(self, image_shape: ImageShape, latents: int = ...) -> AutoencoderTable:
        """Raises ValueError for a shape that the design cannot take."""
        ...


class ClassifierFamily(Protocol):
    """The same for classifiers."""

    def __call__(self, image_shape: ImageShape, classes: int = ...) -> ClassifierTable:
        """Raises ValueError for a shape that the design cannot take."""
        ...


def _small_mnist_autoencoder() -> AutoencoderTable:
    """Ours, for rankings: 12 latents and 150,000 parameters, so that a bundle stays small."""
    trunk = (*conv(1, 16, 4, 2, 1), *conv(16, 32, 4, 2, 1), *conv(32, 32, 3, 2, 1), FLATTEN, *dense(512, 96))
    last: Layer = {"kind": "conv_transpose", "in": 16, "out": 1, "kernel": 4, "stride": 2, "padding": 1, "bias": True}
    decoder = (
        *dense(12, 96, bias=True),
        *dense(96, 512),
        reshape(32, 4, 4),
        *conv_transpose(32, 32, 3, 2, 1),
        *conv_transpose(32, 16, 4, 2, 1),
        last,
        SIGMOID,
    )
    return AutoencoderTable(image_shape=(1, 28, 28), latents=12, features=96, trunk=trunk, decoder=decoder)


def _pooled_mnist_classifier() -> ClassifierTable:
    """The judge of morphs: pooling, other kernels and leaky ReLUs, so that it errs in other places than [PM]'s."""
    leaky: Layer = {"kind": "leaky_relu", "slope": 0.1}

    def block(inputs: int, outputs: int, padding: int) -> Layers:
        return conv(inputs, outputs, 3, 1, padding, activation=leaky)

    layers = (*block(1, 16, 1), max_pool(2), *block(16, 32, 1), max_pool(2), *block(32, 64, 0),
              FLATTEN, *dropout(0.3), *dense(1600, 64), linear(64, 10))  # fmt: skip
    return ClassifierTable(image_shape=(1, 28, 28), classes=10, layers=layers)


CLASSIFIERS: Mapping[str, ClassifierTable] = {
    "pm_mnist_classifier": pm.mnist_classifier(),
    "pm_fashion_classifier": pm.fashion_classifier(),
    "pm_cifar10_classifier": pm.cifar10_classifier(),
    "pooled_mnist_classifier": _pooled_mnist_classifier(),
}
CLASSIFIER_FAMILIES: Mapping[str, ClassifierFamily] = {
    "lr_discriminator": lr.discriminator,
    "planted_classifier": planted.classifier,
    "planted_judge": planted.judge,
    "sprites_classifier": sprites.classifier,
    "sprites_judge": sprites.judge,
}
AUTOENCODERS: Mapping[str, AutoencoderTable] = {
    "pm_mnist_vae": pm.mnist_autoencoder(0.0),
    "pm_mnist_vae_dropout": pm.mnist_autoencoder(0.5),
    "pm_fashion_vae": pm.fashion_autoencoder(0.0),
    "pm_fashion_vae_dropout": pm.fashion_autoencoder(0.5),
    "pm_cifar10_vae": pm.cifar10_autoencoder(0.0),
    "pm_cifar10_vae_dropout": pm.cifar10_autoencoder(0.5),
    "small_mnist_vae": _small_mnist_autoencoder(),
}
AUTOENCODER_FAMILIES: Mapping[str, AutoencoderFamily] = {
    **{f"lr_{size}_vae": partial(lr.autoencoder, size) for size in lr.VAE_WIDTHS},
    "planted_dense_vae": planted.dense_autoencoder,
    "sprites_vae": sprites.autoencoder,
    "small_sprites_vae": sprites.small_autoencoder,
    "fitted_vae": fitted.autoencoder,
    "fitted_narrow_vae": fitted.narrow_autoencoder,
}


def classifier_table(name: str, image_shape: ImageShape, classes: int) -> ClassifierTable:
    """The named classifier for such images. Raises ValueError where it is for others, KeyError for an unknown name."""
    family = CLASSIFIER_FAMILIES.get(name)
    table = family(image_shape, classes) if family else CLASSIFIERS[name]
    _require_shape(name, table.image_shape, image_shape)
    if table.classes != classes:
        raise ValueError(f"{name} tells {table.classes} classes apart, the data set has {classes}")
    return table


def autoencoder_table(name: str, image_shape: ImageShape, latents: int | None = None) -> AutoencoderTable:
    """The named VAE for such images; latents None: as many as the source has. Raises as `classifier_table`."""
    family = AUTOENCODER_FAMILIES.get(name)
    if family:
        return family(image_shape) if latents is None else family(image_shape, latents)
    table = AUTOENCODERS[name]
    _require_shape(name, table.image_shape, image_shape)
    if latents not in (None, table.latents):
        raise ValueError(f"{name} has {table.latents} latents, not {latents}; leave the key out")
    return table


def _require_shape(name: str, expected: ImageShape, image_shape: ImageShape) -> None:
    if expected != image_shape:
        raise ValueError(f"{name} is for images {_product(expected)}, the data set's are {_product(image_shape)}")


def _product(shape: ImageShape) -> str:
    return "×".join(map(str, shape))
