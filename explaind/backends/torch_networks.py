"""Layer tables made into torch modules, and batch norm folded into the layer before it.

Served networks are folded and in eval mode: fewer operations, the same function (up to float rounding).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

Layer = Mapping[str, Any]
Layers = tuple[Layer, ...]

_WEIGHTED = {"conv", "conv_transpose", "linear"}


def _conv(layer: Layer) -> nn.Module:
    return nn.Conv2d(layer["in"], layer["out"], layer["kernel"], layer["stride"], layer["padding"], bias=layer["bias"])


def _conv_transpose(layer: Layer) -> nn.Module:
    return nn.ConvTranspose2d(
        layer["in"], layer["out"], layer["kernel"], layer["stride"], layer["padding"], bias=layer["bias"]
    )


def _batch_norm(layer: Layer) -> nn.Module:
    return nn.BatchNorm2d(layer["features"]) if layer["dimensions"] == 2 else nn.BatchNorm1d(layer["features"])


_BUILDERS: Mapping[str, Callable[[Layer], nn.Module]] = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "linear": lambda layer: nn.Linear(layer["in"], layer["out"], bias=layer["bias"]),
    "batch_norm": _batch_norm,
    "relu": lambda _: nn.ReLU(),
    "leaky_relu": lambda layer: nn.LeakyReLU(layer["slope"]),
    "dropout": lambda layer: nn.Dropout(layer["probability"]),
    "flatten": lambda _: nn.Flatten(),
    "reshape": lambda layer: nn.Unflatten(1, tuple(layer["shape"])),
    "max_pool": lambda layer: nn.MaxPool2d(layer["kernel"]),
    "upsample": lambda layer: nn.Upsample(scale_factor=layer["factor"], mode="nearest"),
    "sigmoid": lambda _: nn.Sigmoid(),
}


def build(layers: Sequence[Layer]) -> nn.Sequential:
    """One module a layer, in the table's order, so that parameter `3.weight` belongs to layer 3.

    Raises ValueError for a kind that is not in the vocabulary.
    """
    return nn.Sequential(*(_build_layer(layer) for layer in layers))


def _build_layer(layer: Layer) -> nn.Module:
    builder = _BUILDERS.get(layer["kind"])
    if builder is None:
        raise ValueError(f"layer kind {layer['kind']!r} is not one of {', '.join(sorted(_BUILDERS))}")
    return builder(layer)


class Encoder(nn.Module):
    """images (B, C, H, W) → mean, deviation (B, D); deviation = exp(½ log variance)."""

    def __init__(self, trunk: nn.Sequential, features: int, latents: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.mean = nn.Linear(features, latents)
        self.log_variance = nn.Linear(features, latents)

    def moments(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance: what a training objective needs."""
        features = self.trunk(images)
        return self.mean(features), self.log_variance(features)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.moments(images)
        return mean, torch.exp(0.5 * log_variance)


def build_encoder(trunk: Sequence[Layer], features: int, latents: int) -> Encoder:
    """The trunk and its two linear heads, `mean` and `log_variance`."""
    return Encoder(build(trunk), features, latents)


def fold_batch_norm(module: nn.Sequential, layers: Sequence[Layer]) -> tuple[nn.Sequential, Layers]:
    """The same function in eval mode without batch norm and dropout, and its table.

    Each batch norm goes into the weighted layer right before it; the arithmetic is float64. `module` is left as
    it is. Raises ValueError where a batch norm does not follow a weighted layer.
    """
    state: list[dict[str, Tensor]] = []
    table: list[dict[str, Any]] = []
    for layer, part in zip(layers, module, strict=True):
        if layer["kind"] == "batch_norm":
            if not table or table[-1]["kind"] not in _WEIGHTED:
                raise ValueError("a batch norm can only be folded into the conv, conv_transpose or linear before it")
            state[-1] = _fold(state[-1], table[-1]["kind"], part)
            table[-1]["bias"] = True
        elif layer["kind"] != "dropout":
            state.append({name: value.detach().clone() for name, value in part.state_dict().items()})
            table.append(dict(layer))
    folded = build(table)
    folded.load_state_dict({f"{i}.{name}": value for i, part in enumerate(state) for name, value in part.items()})
    return folded.eval(), tuple(table)


def _fold(state: dict[str, Tensor], kind: str, norm: nn.Module) -> dict[str, Tensor]:
    norm = cast(nn.BatchNorm2d, norm)
    parameters = norm.state_dict()
    variance = parameters["running_var"].double()
    scale = parameters["weight"].double() / torch.sqrt(variance + norm.eps)
    weight = state["weight"].double()
    axis = 1 if kind == "conv_transpose" else 0
    shape = [1] * weight.ndim
    shape[axis] = -1
    bias = state.get("bias", torch.zeros(scale.shape)).double()
    shift = parameters["bias"].double() + (bias - parameters["running_mean"].double()) * scale
    return {"weight": (weight * scale.reshape(shape)).float(), "bias": shift.float()}


def fold_encoder(encoder: Encoder, trunk: Sequence[Layer]) -> tuple[Encoder, Layers]:
    """`fold_batch_norm` of the trunk, with the same heads."""
    folded, table = fold_batch_norm(encoder.trunk, trunk)
    result = Encoder(folded, encoder.mean.in_features, encoder.mean.out_features)
    result.mean.load_state_dict(encoder.mean.state_dict())
    result.log_variance.load_state_dict(encoder.log_variance.state_dict())
    return result.eval(), table


def parameter_count(module: nn.Module) -> int:
    return sum(math.prod(parameter.shape) for parameter in module.parameters())
