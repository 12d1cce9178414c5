"""The networks of [PM] Appendix C (ARCHITECTURES.md): 28 × 28 grey and 32 × 32 RGB, ten classes, 100 latents.

Each VAE comes without dropout, which rebuilds far better, and as printed, with 0.5.
"""

from __future__ import annotations

from explaind.training.layer_tables import (
    FLATTEN,
    AutoencoderTable,
    ClassifierTable,
    Layers,
    conv,
    conv_transpose,
    dense,
    dropout,
    linear,
    max_pool,
    reshape,
    to_image,
    upsample,
)

GREY = (1, 28, 28)
RGB = (3, 32, 32)
_CLASSES = 10
_LATENTS = 100
_FEATURES = 128


def mnist_classifier() -> ClassifierTable:
    """Of MNIST and the letters alike."""
    layers = (*_mnist_trunk(), *dropout(0.5), linear(128, _CLASSES))
    return ClassifierTable(image_shape=GREY, classes=_CLASSES, layers=layers)


def fashion_classifier() -> ClassifierTable:
    """Of FashionMNIST."""
    layers = (*_fashion_convolutions(), FLATTEN, *dense(128 * 6 * 6, 128), *dropout(0.5), linear(128, _CLASSES))
    return ClassifierTable(image_shape=GREY, classes=_CLASSES, layers=layers)


def cifar10_classifier() -> ClassifierTable:
    """Of CIFAR-10."""
    layers = (
        *conv(3, 64, 3), *conv(64, 64, 3), max_pool(2),
        *conv(64, 128, 3), *conv(128, 128, 3), max_pool(2),
        *conv(128, 256, 3), FLATTEN,
        *dense(256 * 3 * 3, 256), *dropout(0.5), *dense(256, 128), *dropout(0.5), linear(128, _CLASSES),
    )  # fmt: skip
    return ClassifierTable(image_shape=RGB, classes=_CLASSES, layers=layers)


def mnist_autoencoder(probability: float) -> AutoencoderTable:
    """probability: of dropout. Of MNIST and the letters alike."""
    decoder = (
        *_from_codes(64, 6, probability),
        *conv_transpose(64, 32, 3),
        *conv_transpose(32, 16, 3),
        *to_image(conv_transpose(16, 1, 5, 3, 2)),
    )
    return _autoencoder(GREY, (*_mnist_trunk(), *dropout(probability)), decoder)


def fashion_autoencoder(probability: float) -> AutoencoderTable:
    """probability: of dropout. Of FashionMNIST."""
    trunk = (*_fashion_convolutions(), *conv(128, 256, 3), *_to_features(256 * 4 * 4, probability))
    decoder = (
        *_from_codes(256, 4, probability),
        *conv_transpose(256, 128, 3),
        *conv_transpose(128, 128, 3),
        *conv_transpose(128, 64, 3),
        *conv_transpose(64, 32, 3, 3, 1),
        *to_image(conv_transpose(32, 1, 3, 1, 1)),
    )
    return _autoencoder(GREY, trunk, decoder)


def cifar10_autoencoder(probability: float) -> AutoencoderTable:
    """probability: of dropout. Of CIFAR-10; the source found its reconstructions too blurred to be useful."""
    trunk = (
        *conv(3, 64, 3), *conv(64, 128, 3), max_pool(2),
        *conv(128, 256, 3), *conv(256, 128, 3), *conv(128, 128, 5, 3, 2), *conv(128, 256, 3),
        *_to_features(256 * 2 * 2, probability),
    )  # fmt: skip
    decoder = (
        *_from_codes(256, 2, probability),
        *conv_transpose(256, 128, 3), *conv_transpose(128, 128, 5, 3, 2),
        *conv_transpose(128, 256, 3), *conv_transpose(256, 128, 3), upsample(2),
        *conv_transpose(128, 64, 3), *to_image(conv_transpose(64, 3, 3)),
    )  # fmt: skip
    return _autoencoder(RGB, trunk, decoder)


def _mnist_trunk() -> Layers:
    convolutions = (*conv(1, 16, 5, 3, 2), *conv(16, 32, 3), *conv(32, 64, 3))
    return (*convolutions, FLATTEN, *dense(64 * 6 * 6, _FEATURES))


def _fashion_convolutions() -> Layers:
    return (*conv(1, 32, 3, 1, 1), *conv(32, 64, 3, 3, 1), *conv(64, 128, 3), *conv(128, 128, 3))


def _to_features(flat: int, probability: float) -> Layers:
    return (FLATTEN, *dense(flat, _FEATURES), *dropout(probability))


def _from_codes(channels: int, size: int, probability: float) -> Layers:
    flat = channels * size * size
    return (*dense(_LATENTS, flat, bias=True), *dropout(probability), reshape(channels, size, size))


def _autoencoder(image_shape: tuple[int, int, int], trunk: Layers, decoder: Layers) -> AutoencoderTable:
    return AutoencoderTable(image_shape=image_shape, latents=_LATENTS, features=_FEATURES, trunk=trunk, decoder=decoder)
