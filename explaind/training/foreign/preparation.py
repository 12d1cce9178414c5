"""What stands between a caller's plain image and a foreign classifier: resize, normalisation, and logits at the end.

A resize is two multiplications by constant matrices, so it is in every graph, has an exact gradient, and does the
same in torch, in ONNX and in training. Triangle filter, widened where the image shrinks: what Pillow calls BILINEAR.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from explaind.explanations.models import FloatArray
from explaind.training.layer_tables import ImageShape

SMALLEST_PROBABILITY = 1e-12
"""Where a classifier gives probabilities, their logarithms are its logits; 0 has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """image_shape: of callers' images. input_shape: of the classifier. Both (C, H, W), C the same.

    mean, deviation: (x − mean)/deviation, one number or one a channel. outputs: what the classifier gives.
    """

    image_shape: ImageShape
    input_shape: ImageShape
    mean: tuple[float, ...] = (0.0,)
    deviation: tuple[float, ...] = (1.0,)
    outputs: Literal["logits", "probabilities"] = "logits"

    @property
    def resizes(self) -> bool:
        return self.image_shape != self.input_shape

    @property
    def normalises(self) -> bool:
        return any(self.mean) or any(value != 1.0 for value in self.deviation)

    def rows(self) -> FloatArray:
        """(H of the classifier, H of the image), to multiply from the left."""
        return resize_matrix(self.image_shape[1], self.input_shape[1])

    def columns(self) -> FloatArray:
        """(W of the image, W of the classifier), to multiply from the right."""
        return np.ascontiguousarray(resize_matrix(self.image_shape[2], self.input_shape[2]).T)

    def center(self) -> FloatArray:
        """mean as (C or 1, 1, 1)."""
        return np.array(self.mean, np.float32).reshape(-1, 1, 1)

    def scale(self) -> FloatArray:
        """deviation as (C or 1, 1, 1)."""
        return np.array(self.deviation, np.float32).reshape(-1, 1, 1)


def resize_matrix(source: int, target: int) -> FloatArray:
    """(target, source) float32; rows sum to 1."""
    step = source / target
    width = max(step, 1.0)
    centers = (np.arange(target)[:, None] + 0.5) * step
    weights = np.clip(1 - np.abs(np.arange(source)[None] + 0.5 - centers) / width, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


class PreparedClassifier(nn.Module):
    """images (B, *image_shape) in [0, 1] → logits (B, K), through a classifier that wants something else."""

    rows: Tensor
    columns: Tensor
    center: Tensor
    scale: Tensor

    def __init__(self, program: nn.Module, preparation: Preparation, *, gradients: bool = False) -> None:
        """gradients: of the program can be written as a graph."""
        super().__init__()
        self.program = program
        self.preparation = preparation
        self.gradients = gradients
        for name in ("rows", "columns", "center", "scale"):
            self.register_buffer(name, torch.from_numpy(getattr(preparation, name)()))

    def forward(self, images: Tensor) -> Tensor:
        if self.preparation.resizes:
            images = self.rows @ images @ self.columns
        if self.preparation.normalises:
            images = (images - self.center) / self.scale
        outputs: Tensor = self.program(images)
        if self.preparation.outputs == "probabilities":
            return torch.log(torch.clamp(outputs, min=SMALLEST_PROBABILITY))
        return outputs
