"""The operations of the networks in an extracted archive, for the handlers: what runs, with what shapes, where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from explaind.backends import networks as tables
from explaind.backends import torch_operations as compute
from explaind.backends import torchserve_payload as wire
from explaind.backends import weights as stored_weights
from explaind.backends.torch_networks import Encoder
from explaind.backends.torchserve_batch import Key, Operation
from explaind.explanations.models import FloatArray


def prepare_torch(configuration: Mapping[str, Any], gpu: object) -> torch.device:
    """Threads as the archive's configuration says, exact float32, and the worker's device (gpu: its index, or None)."""
    torch.set_num_threads(int((configuration.get("handler") or {}).get("threads", 1)))
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return torch.device(f"cuda:{gpu}" if gpu is not None and torch.cuda.is_available() else "cpu")


def classifier_operations(folder: Path, device: torch.device) -> dict[Key, Operation]:
    """predict; gradient of weighted probabilities or logits. Raises BundleInvalid for a damaged archive."""
    networks = tables.read(folder)
    network = compute.open_classifier(networks, stored_weights.read(folder)).to(device)
    image, classes = networks.image_shape, (networks.classes,)

    def predict(images: FloatArray) -> list[FloatArray]:
        return [compute.to_array(compute.predict(network, compute.to_tensor(images, device)))]

    operations = {(wire.PREDICT, "", ""): Operation(inputs={"images": image}, outputs=(wire.LOGITS,), run=predict)}
    for output in (wire.PROBABILITIES, wire.LOGITS):
        operations[wire.GRADIENT, "", output] = Operation(
            inputs={"images": image, "weights": classes},
            outputs=("gradient", output),
            run=_gradient(network, device, of_logits=output == wire.LOGITS),
        )
    return operations


def vae_operations(folder: Path, device: torch.device) -> dict[Key, Operation]:
    """encode, decode and decode_vjp of each latent space. Raises BundleInvalid for a damaged archive."""
    networks, weights = tables.read(folder), stored_weights.read(folder)
    operations: dict[Key, Operation] = {}
    for space, table in networks.spaces.items():
        encoder, decoder = compute.open_autoencoder(networks, space, weights)
        run = _Autoencoder(encoder.to(device), decoder.to(device), device)
        image, codes = networks.image_shape, (table.latents,)
        operations |= {
            (wire.ENCODE, space, ""): Operation(
                inputs={"images": image}, outputs=("mean", "deviation"), run=run.encode
            ),
            (wire.DECODE, space, ""): Operation(inputs={"codes": codes}, outputs=("images",), run=run.decode),
            (wire.DECODE_VJP, space, ""): Operation(
                inputs={"codes": codes, "cotangent": image}, outputs=("gradient",), run=run.decode_vjp
            ),
        }
    return operations


class _Autoencoder:
    """Arrays in, arrays out, on the worker's device."""

    def __init__(self, encoder: Encoder, decoder: nn.Sequential, device: torch.device) -> None:
        self._encoder = encoder
        self._decoder = decoder
        self._device = device

    def encode(self, images: FloatArray) -> list[FloatArray]:
        return [compute.to_array(part) for part in compute.encode(self._encoder, self._tensor(images))]

    def decode(self, codes: FloatArray) -> list[FloatArray]:
        return [compute.to_array(compute.decode(self._decoder, self._tensor(codes)))]

    def decode_vjp(self, codes: FloatArray, cotangent: FloatArray) -> list[FloatArray]:
        return [compute.to_array(compute.decode_vjp(self._decoder, self._tensor(codes), self._tensor(cotangent)))]

    def _tensor(self, array: FloatArray) -> Tensor:
        return compute.to_tensor(array, self._device)


def _gradient(network: nn.Sequential, device: torch.device, *, of_logits: bool) -> Any:
    def run(images: FloatArray, weights: FloatArray) -> list[FloatArray]:
        result = compute.gradient(
            network, compute.to_tensor(images, device), compute.to_tensor(weights, device), of_logits=of_logits
        )
        return [compute.to_array(part) for part in result]

    return run
