"""Trained modules behind the Protocols of `explanations.models`, so that statistics use the served mathematics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from explaind.explanations.models import FloatArray
from explaind.training.trained import SpaceNetworks

_ROWS = 500


@dataclass(frozen=True, slots=True)
class TrainedClassifier:
    network: nn.Module

    @torch.no_grad()
    def logits(self, images: FloatArray) -> FloatArray:
        return np.concatenate([_array(self.network(part)) for part in _parts(images)])


@dataclass(frozen=True, slots=True)
class TrainedAutoencoder:
    networks: SpaceNetworks

    @torch.no_grad()
    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        pairs = [self.networks.encoder(part) for part in _parts(images)]
        means, deviations = zip(*pairs, strict=True)
        return _array(torch.cat(means)), _array(torch.cat(deviations))

    @torch.no_grad()
    def decode(self, codes: FloatArray) -> FloatArray:
        return np.concatenate([_array(self.networks.decoder(part)) for part in _parts(codes)])


def _parts(rows: FloatArray) -> Iterator[Tensor]:
    """At most 500 rows at a time: a whole training set's activations would take gigabytes."""
    for start in range(0, len(rows), _ROWS):
        yield torch.from_numpy(np.ascontiguousarray(rows[start : start + _ROWS]))


def _array(tensor: Tensor) -> FloatArray:
    result: FloatArray = tensor.numpy()
    return result
