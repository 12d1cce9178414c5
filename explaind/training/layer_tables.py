"""What networks are made of, as data: rows of layers and the tables of whole networks. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Layer = Mapping[str, object]
Layers = tuple[Layer, ...]
ImageShape = tuple[int, int, int]
"""(C, H, W)."""

RELU: Layer = {"kind": "relu"}
FLATTEN: Layer = {"kind": "flatten"}
SIGMOID: Layer = {"kind": "sigmoid"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifierTable:
    """layers: images (B, *image_shape) → logits (B, classes)."""

    image_shape: ImageShape
    classes: int
    layers: Layers


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoencoderTable:
    """trunk: images (B, *image_shape) → features (B, features), from which two linear heads give mean and
    log variance (B, latents). decoder: codes (B, latents) → images in [0, 1]."""

    image_shape: ImageShape
    latents: int
    features: int
    trunk: Layers
    decoder: Layers


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, *, activation: Layer = RELU
) -> Layers:
    """Bias-free convolution, batch norm, activation."""
    return (
        {"kind": "conv", "in": inputs, "out": outputs, "kernel": kernel, "stride": stride, "padding": padding,
         "bias": False},
        {"kind": "batch_norm", "features": outputs, "dimensions": 2},
        activation,
    )  # fmt: skip


def conv_transpose(
    inputs: int, outputs: int, kernel: int, stride: int = 1, padding: int = 0, *, activation: Layer = RELU
) -> Layers:
    """Bias-free transposed convolution, batch norm, activation."""
    return (
        {"kind": "conv_transpose", "in": inputs, "out": outputs, "kernel": kernel, "stride": stride,
         "padding": padding, "bias": False},
        {"kind": "batch_norm", "features": outputs, "dimensions": 2},
        activation,
    )  # fmt: skip


def dense(inputs: int, outputs: int, *, bias: bool = False, activation: Layer = RELU) -> Layers:
    """Linear, batch norm, activation; a bias where it follows the latents, as the source has it."""
    return (linear(inputs, outputs, bias=bias), {"kind": "batch_norm", "features": outputs, "dimensions": 1},
            activation)  # fmt: skip


def linear(inputs: int, outputs: int, *, bias: bool = True) -> Layer:
    """The linear layer alone."""
    return {"kind": "linear", "in": inputs, "out": outputs, "bias": bias}


def dropout(probability: float) -> Layers:
    """No layer at all for 0."""
    return ({"kind": "dropout", "probability": probability},) if probability else ()


def max_pool(kernel: int) -> Layer:
    """The largest of each kernel × kernel pixels, windows side by side."""
    return {"kind": "max_pool", "kernel": kernel}


def upsample(factor: int) -> Layer:
    """Each pixel factor × factor times."""
    return {"kind": "upsample", "factor": factor}


def reshape(channels: int, height: int, width: int) -> Layer:
    """Flat features into maps."""
    return {"kind": "reshape", "shape": [channels, height, width]}


def to_image(layers: Layers) -> Layers:
    """Replaces the last activation by a sigmoid: an image's pixels are probabilities."""
    return (*layers[:-1], SIGMOID)
