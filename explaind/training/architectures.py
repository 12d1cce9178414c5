"""The networks as data: tuples of layer tables, so that a bundle can describe itself without code or pickle.

No torch here: `backends/torch_networks.py` turns a table into modules. Sources: ARCHITECTURES.md [PM] Appendix C.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Layer = Mapping[str, object]
Layers = tuple[Layer, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierTable:
    """layers: images (B, *image_shape) → logits (B, classes)."""

    image_shape: tuple[int, int, int]
    classes: int
    layers: Layers


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderTable:
    """trunk: images (B, *image_shape) → features (B, features), from which two linear heads give mean and
    log variance (B, latents). decoder: codes (B, latents) → images in [0, 1]."""

    image_shape: tuple[int, int, int]
    latents: int
    features: int
    trunk: Layers
    decoder: Layers


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> Layers:
    """Bias-free convolution, batch norm, ReLU."""
    return (
        {"kind": "conv", "in": inputs, "out": outputs, "kernel": kernel, "stride": stride, "padding": padding,
         "bias": False},
        {"kind": "batch_norm", "features": outputs, "dimensions": 2},
        {"kind": "relu"},
    )  # fmt: skip


def _conv_transpose(inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0) -> Layers:
    return (
        {"kind": "conv_transpose", "in": inputs, "out": outputs, "kernel": kernel, "stride": stride,
         "padding": padding, "bias": False},
        {"kind": "batch_norm", "features": outputs, "dimensions": 2},
        {"kind": "relu"},
    )  # fmt: skip


def _dense(inputs: int, outputs: int, *, bias: bool = False) -> Layers:
    """Linear, batch norm, ReLU; a bias where it follows the latents, as the source has it."""
    return (_linear(inputs, outputs, bias=bias), {"kind": "batch_norm", "features": outputs, "dimensions": 1},
            {"kind": "relu"})  # fmt: skip


def _linear(inputs: int, outputs: int, *, bias: bool = True) -> Layer:
    return {"kind": "linear", "in": inputs, "out": outputs, "bias": bias}


def _dropout(probability: float) -> Layers:
    return ({"kind": "dropout", "probability": probability},) if probability else ()


def _to_image(layers: Layers) -> Layers:
    """Replaces the last ReLU by a sigmoid: an image's pixels are probabilities."""
    return (*layers[:-1], {"kind": "sigmoid"})


def _pm_mnist_trunk() -> Layers:
    convolutions = (*_conv(1, 16, 5, 3, 2), *_conv(16, 32, 3), *_conv(32, 64, 3))
    return (*convolutions, {"kind": "flatten"}, *_dense(64 * 6 * 6, 128))


def _pm_mnist_classifier() -> ClassifierTable:
    layers = (*_pm_mnist_trunk(), *_dropout(0.5), _linear(128, 10))
    return ClassifierTable(image_shape=(1, 28, 28), classes=10, layers=layers)


def _pm_mnist_autoencoder(dropout: float) -> AutoencoderTable:
    decoder = (
        *_dense(100, 64 * 6 * 6, bias=True),
        *_dropout(dropout),
        {"kind": "reshape", "shape": [64, 6, 6]},
        *_conv_transpose(64, 32, 3),
        *_conv_transpose(32, 16, 3),
        *_to_image(_conv_transpose(16, 1, 5, 3, 2)),
    )
    trunk = (*_pm_mnist_trunk(), *_dropout(dropout))
    return AutoencoderTable(image_shape=(1, 28, 28), latents=100, features=128, trunk=trunk, decoder=decoder)


def _small_mnist_autoencoder() -> AutoencoderTable:
    """Ours, for rankings: 12 latents and 150,000 parameters, so that a bundle stays small."""
    trunk = (*_conv(1, 16, 4, 2, 1), *_conv(16, 32, 4, 2, 1), *_conv(32, 32, 3, 2, 1),
             {"kind": "flatten"}, *_dense(512, 96))  # fmt: skip
    last: Layer = {"kind": "conv_transpose", "in": 16, "out": 1, "kernel": 4, "stride": 2, "padding": 1, "bias": True}
    decoder = (
        *_dense(12, 96, bias=True),
        *_dense(96, 512),
        {"kind": "reshape", "shape": [32, 4, 4]},
        *_conv_transpose(32, 32, 3, 2, 1),
        *_conv_transpose(32, 16, 4, 2, 1),
        last,
        {"kind": "sigmoid"},
    )
    return AutoencoderTable(image_shape=(1, 28, 28), latents=12, features=96, trunk=trunk, decoder=decoder)


def _pooled_mnist_classifier() -> ClassifierTable:
    """The judge of morphs: pooling, other kernels and leaky ReLUs, so that it errs in other places than [PM]'s."""
    leaky: Layer = {"kind": "leaky_relu", "slope": 0.1}
    pool: Layer = {"kind": "max_pool", "kernel": 2}

    def block(inputs: int, outputs: int, padding: int) -> Layers:
        return (*_conv(inputs, outputs, 3, 1, padding)[:-1], leaky)

    layers = (*block(1, 16, 1), pool, *block(16, 32, 1), pool, *block(32, 64, 0),
              {"kind": "flatten"}, *_dropout(0.3), *_dense(1600, 64), _linear(64, 10))  # fmt: skip
    return ClassifierTable(image_shape=(1, 28, 28), classes=10, layers=layers)


CLASSIFIERS: Mapping[str, ClassifierTable] = {
    "pm_mnist_classifier": _pm_mnist_classifier(),
    "pooled_mnist_classifier": _pooled_mnist_classifier(),
}
AUTOENCODERS: Mapping[str, AutoencoderTable] = {
    "pm_mnist_vae": _pm_mnist_autoencoder(dropout=0.0),
    "pm_mnist_vae_dropout": _pm_mnist_autoencoder(dropout=0.5),
    "small_mnist_vae": _small_mnist_autoencoder(),
}
