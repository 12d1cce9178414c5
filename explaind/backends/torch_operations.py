"""The operations a served network offers, in torch: what handlers and the in-process torch backend both run.

Tensors in, tensors out, on the network's device; nothing is recorded for a second derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from explaind.backends.networks import Networks
from explaind.backends.torch_networks import Encoder, build, build_encoder
from explaind.explanations.models import FloatArray

Network = Callable[[Tensor], Tensor]
Module = TypeVar("Module", bound=nn.Module)


def open_classifier(networks: Networks, weights: Mapping[str, FloatArray]) -> nn.Sequential:
    """weights: named `classifier.…`. The result is frozen, in eval mode. Raises ValueError without a layer table."""
    if not networks.classifier:
        raise ValueError("the classifier was built from a program, not a layer table: serve it with the onnx backend")
    return _filled(build(networks.classifier), weights, "classifier.")


def open_autoencoder(
    networks: Networks, space: str, weights: Mapping[str, FloatArray]
) -> tuple[Encoder, nn.Sequential]:
    """Encoder and decoder of a latent space; weights: named `<space>.encoder.…`, `<space>.decoder.…`."""
    table = networks.spaces[space]
    encoder = build_encoder(table.trunk, table.features, table.latents)
    return (
        _filled(encoder, weights, f"{space}.encoder."),
        _filled(build(table.decoder), weights, f"{space}.decoder."),
    )


def _filled(module: Module, weights: Mapping[str, FloatArray], prefix: str) -> Module:
    state = {key.removeprefix(prefix): torch.from_numpy(np.array(value)) for key, value in weights.items()
             if key.startswith(prefix)}  # fmt: skip
    module.load_state_dict(state)
    return module.eval().requires_grad_(False)


def predict(classifier: Network, images: Tensor) -> Tensor:
    """images (B, C, H, W) → logits (B, K)."""
    with torch.inference_mode():
        return classifier(images)


def gradient(classifier: Network, images: Tensor, weights: Tensor, *, of_logits: bool) -> tuple[Tensor, Tensor]:
    """images (B, C, H, W), weights (B, K) → gradient (B, C, H, W) of Σ w·p(x), or of Σ w·l(x); p or l (B, K)."""
    leaf = images.detach().requires_grad_(True)
    outputs = classifier(leaf)
    if not of_logits:
        outputs = torch.softmax(outputs, dim=1)
    (result,) = torch.autograd.grad(outputs, leaf, weights)
    return result, outputs.detach()


def encode(encoder: Encoder, images: Tensor) -> tuple[Tensor, Tensor]:
    """images (B, C, H, W) → mean, deviation (B, D)."""
    with torch.inference_mode():
        mean, deviation = encoder(images)
        return mean, deviation


def decode(decoder: Network, codes: Tensor) -> Tensor:
    """codes (B, D) → images (B, C, H, W) in [0, 1]."""
    with torch.inference_mode():
        return decoder(codes)


def decode_vjp(decoder: Network, codes: Tensor, cotangent: Tensor) -> Tensor:
    """codes (B, D), cotangent (B, C, H, W) → gradient (B, D) of Σ cotangent·dec(z)."""
    leaf = codes.detach().requires_grad_(True)
    (result,) = torch.autograd.grad(decoder(leaf), leaf, cotangent)
    return result


def to_tensor(array: FloatArray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32)).to(device)


def to_array(tensor: Tensor) -> FloatArray:
    result: FloatArray = np.ascontiguousarray(tensor.detach().cpu().numpy())
    return result
