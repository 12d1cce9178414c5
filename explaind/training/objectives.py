"""What training minimises. Each objective takes a batch and says its loss; each also says what to stop on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from explaind.backends.torch_networks import Encoder

Network = TypeVar("Network", bound=nn.Module, contravariant=True)


class Vae(nn.Module):
    """An encoder and a decoder trained together."""

    def __init__(self, encoder: Encoder, decoder: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder


class Objective(Protocol[Network]):
    def loss(self, network: Network, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
        """images (B, C, H, W) in [0, 1], labels (B,), epochs done so far → mean loss a image, to differentiate."""
        ...

    def validation(self, network: Network, images: Tensor, labels: Tensor) -> Tensor:
        """(B,) what early stopping lowers, at the objective's final weights."""
        ...

    def settled(self, epoch: int) -> bool:
        """False while a schedule still moves: such epochs are neither kept as best nor counted as patience."""
        ...


@dataclass(frozen=True, slots=True)
class CrossEntropy:
    """Softmax cross entropy of a classifier."""

    def loss(self, network: nn.Module, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
        return functional.cross_entropy(network(images), labels)

    def validation(self, network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(network(images), labels, reduction="none")

    def settled(self, epoch: int) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Elbo:
    """Summed Bernoulli cross entropy + beta·KL ([PM], ARCHITECTURES.md), in nats an image.

    With `capacity`: + beta·|KL − C|, C rising linearly from 0 to `capacity` nats over `capacity_epochs` epochs
    ([LR]'s final generator). KL is then a target, not a cost: latents join one by one, the most useful first.
    """

    beta: float
    capacity: float | None = None
    capacity_epochs: int = 1

    def loss(self, network: Vae, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
        reconstruction, divergence = elbo_terms(network, images)
        if self.capacity is None:
            return reconstruction.mean() + self.beta * divergence.mean()
        target = self.capacity * min(epoch / self.capacity_epochs, 1.0)
        return reconstruction.mean() + self.beta * (divergence.mean() - target).abs()

    def validation(self, network: Vae, images: Tensor, labels: Tensor) -> Tensor:
        reconstruction, divergence = elbo_terms(network, images)
        if self.capacity is None:
            return reconstruction + self.beta * divergence
        return reconstruction + self.beta * (divergence.mean() - self.capacity).abs()

    def settled(self, epoch: int) -> bool:
        return self.capacity is None or epoch >= self.capacity_epochs


def elbo_terms(network: Vae, images: Tensor) -> tuple[Tensor, Tensor]:
    """Reconstruction loss and KL to the standard normal prior, both (B,), in nats, of one sampled code an image."""
    mean, log_variance = network.encoder.moments(images)
    codes = mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
    return bernoulli_loss(network.decoder(codes), images), divergence_from_prior(mean, log_variance)


def bernoulli_loss(rebuilt: Tensor, images: Tensor) -> Tensor:
    """Cross entropy of soft targets summed over pixels: (B, C, H, W) twice → (B,), nats."""
    return functional.binary_cross_entropy(rebuilt, images, reduction="none").flatten(1).sum(dim=1)


def divergence_from_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) summed over latents: (B, D) twice → (B,), nats."""
    return latent_divergences(mean, log_variance).sum(dim=1)


def latent_divergences(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The same for each latent: (B, D), nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)
