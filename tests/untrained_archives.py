"""Untrained networks with [PM]'s tables as archives: real shapes, no ONNX graphs, in a tenth of a second."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from explaind.backends import networks
from explaind.backends.networks import SpaceTable
from explaind.backends.torch_networks import build, build_encoder, fold_batch_norm, fold_encoder
from explaind.training.architectures import AUTOENCODERS, CLASSIFIERS
from explaind.training.archive import write_archives

SPACES = {"morphing": "pm_mnist_vae", "ranking": "small_mnist_vae"}


def write_untrained(folder: Path, name: str = "untrained", version: str = "1") -> Path:
    """networks.json, weights.safetensors and both archives in `folder`; seeded. Returns the folder."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    table = CLASSIFIERS["pm_mnist_classifier"]
    classifier, layers = fold_batch_norm(build(table.layers).eval(), table.layers)
    weights = {f"classifier.{key}": value for key, value in classifier.state_dict().items()}
    spaces = {space: _space(space, architecture, weights) for space, architecture in SPACES.items()}
    networks.write(
        folder,
        networks.Networks(image_shape=table.image_shape, classes=table.classes, classifier=layers, spaces=spaces),
    )
    save_file(weights, folder / networks.WEIGHTS)
    write_archives(name, version, folder)
    return folder


def _space(space: str, architecture: str, weights: dict[str, Tensor]) -> SpaceTable:
    """Adds the space's weights."""
    table = AUTOENCODERS[architecture]
    encoder, trunk = fold_encoder(build_encoder(table.trunk, table.features, table.latents).eval(), table.trunk)
    decoder, layers = fold_batch_norm(build(table.decoder).eval(), table.decoder)
    weights |= {f"{space}.encoder.{key}": value for key, value in encoder.state_dict().items()}
    weights |= {f"{space}.decoder.{key}": value for key, value in decoder.state_dict().items()}
    return SpaceTable(
        roles=(space,), latents=table.latents, features=table.features, trunk=tuple(trunk), decoder=tuple(layers)
    )
