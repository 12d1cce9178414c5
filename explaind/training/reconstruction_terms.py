"""How far a reconstruction is from its image, as a term to train on: each (B, C, H, W) twice → (B,), least at equality.

All are summed over pixels and channels, or brought to that scale, so that one beta weighs the divergence about alike
whichever term a recipe names ([AN]; the scale of the last two is ours, the source gives none).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from explaind.explanations.structural_similarity import C1, C2, valid_blur

ReconstructionTerm = Callable[[Tensor, Tensor], Tensor]

_LEAST_NORM = 1e-12  # a black image has no direction; the square root has no slope at 0


def bernoulli_loss(rebuilt: Tensor, images: Tensor) -> Tensor:
    """Cross entropy of soft targets, nats."""
    return functional.binary_cross_entropy(rebuilt, images, reduction="none").flatten(1).sum(dim=1)


def gaussian_loss(rebuilt: Tensor, images: Tensor) -> Tensor:
    """Squared error: the negative log likelihood, less a constant, of pixels with variance ½; nats."""
    return (rebuilt - images).square().flatten(1).sum(dim=1)


def cosine_loss(rebuilt: Tensor, images: Tensor) -> Tensor:
    """1 − cosine of the flattened images, times their number of values."""
    x, y = images.flatten(1), rebuilt.flatten(1)
    norms = (x.square().sum(dim=1) * y.square().sum(dim=1) + _LEAST_NORM).sqrt()
    return (1.0 - (x * y).sum(dim=1) / norms) * x.shape[1]


def ssim_loss(rebuilt: Tensor, images: Tensor) -> Tensor:
    """1 − structural similarity, times the image's number of values. Images of at least 11 × 11 pixels."""
    return (1.0 - similarity(images, rebuilt)) * images[0].numel()


def similarity(first: Tensor, second: Tensor) -> Tensor:
    """`explanations.structural_similarity.ssim`, differentiable: (B, C, H, W) twice → (B,) float32 in [−1, 1].

    In float64 inside: a flat image's variance is a difference of nearly equal squares.
    """
    x, y = first.double(), second.double()
    rows, columns = (torch.from_numpy(valid_blur(size).copy()).to(x.device) for size in x.shape[-2:])
    columns = columns.T
    mean_x, mean_y = rows @ x @ columns, rows @ y @ columns
    variance = rows @ (x * x + y * y) @ columns - mean_x**2 - mean_y**2
    covariance = rows @ (x * y) @ columns - mean_x * mean_y
    luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
    structure = (2 * covariance + C2) / (variance + C2)
    return (luminance * structure).mean(dim=(1, 2, 3)).float()


RECONSTRUCTION_TERMS: Mapping[str, ReconstructionTerm] = {
    "bernoulli": bernoulli_loss,
    "gaussian": gaussian_loss,
    "cosine": cosine_loss,
    "ssim": ssim_loss,
}
