"""Small classifiers of foreign make, and files of them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn


class Pooled(nn.Module):
    """What layer tables have not: windows that overlap, means, batch norm that stays, GELU."""

    def __init__(self, channels: int = 1, classes: int = 3) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(channels, 4, 3, 1, 1), nn.BatchNorm2d(4)
        self.pool, self.means = nn.MaxPool2d(3, 2, 1), nn.AvgPool2d(2)
        self.last = nn.Linear(4, classes)

    def forward(self, images: Tensor) -> Tensor:
        found = self.pool(torch.relu(self.norm(self.first(images))))
        found = self.means(nn.functional.gelu(found))
        return self.last(nn.functional.adaptive_avg_pool2d(found, 1).flatten(1))


def pooled(channels: int = 1, classes: int = 3) -> Pooled:
    """With statistics that are not those of a new batch norm. In eval mode."""
    torch.manual_seed(3)
    network = Pooled(channels, classes)
    network.norm.running_mean.copy_(torch.randn(4) / 5)  # type: ignore[union-attr,operator]
    network.norm.running_var.copy_(torch.rand(4) + 0.5)  # type: ignore[union-attr,operator]
    return network.eval()


def save_pt2(network: nn.Module, path: Path, *examples: Tensor, dynamic: bool = True) -> Path:
    shapes = tuple({0: torch.export.Dim("batch")} for _ in examples) if dynamic else None
    torch.export.save(torch.export.export(network, examples, dynamic_shapes=shapes), path)
    return path
