"""What training minimises. Each objective takes a batch and says its loss; each also says what to stop on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from explaind.backends.torch_networks import Encoder
from explaind.training.latent_penalties import divergence_from_prior, total_correlation
from explaind.training.recipe import SpaceRecipe
from explaind.training.reconstruction_terms import RECONSTRUCTION_TERMS, ReconstructionTerm, bernoulli_loss

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
    """Reconstruction + beta·KL, in nats an image: a VAE with beta 1, a β-VAE else ([LR] Eq. 3).

    With `capacity`: + beta·|KL − C|, C rising linearly from 0 to `capacity` nats over `capacity_epochs` epochs
    ([LR] Eq. 4, its final generator). KL is then a target, not a cost: latents join one by one, the most useful first.
    """

    beta: float
    capacity: float | None = None
    capacity_epochs: int = 1
    reconstruction: ReconstructionTerm = bernoulli_loss

    def loss(self, network: Vae, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
        reconstruction, divergence = elbo_terms(network, images, self.reconstruction)
        if self.capacity is None:
            return reconstruction.mean() + self.beta * divergence.mean()
        target = self.capacity * min(epoch / self.capacity_epochs, 1.0)
        return reconstruction.mean() + self.beta * (divergence.mean() - target).abs()

    def validation(self, network: Vae, images: Tensor, labels: Tensor) -> Tensor:
        reconstruction, divergence = elbo_terms(network, images, self.reconstruction)
        if self.capacity is None:
            return reconstruction + self.beta * divergence
        return reconstruction + self.beta * (divergence.mean() - self.capacity).abs()

    def settled(self, epoch: int) -> bool:
        return self.capacity is None or epoch >= self.capacity_epochs


@dataclass(frozen=True, slots=True)
class BetaTotalCorrelation:
    """β-TCVAE ([AN]): reconstruction + KL + (beta − 1)·total correlation, in nats an image.

    KL is mutual information + total correlation + each latent's own divergence, so beta weighs the second alone.
    data_size: N, images of the training set. The total correlation is estimated within the batch: too small a batch
    sees dependence that is chance.
    """

    beta: float
    data_size: int
    reconstruction: ReconstructionTerm = bernoulli_loss

    def loss(self, network: Vae, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
        return self.validation(network, images, labels).mean()

    def validation(self, network: Vae, images: Tensor, labels: Tensor) -> Tensor:
        mean, log_variance, codes = _sampled(network, images)
        reconstruction = self.reconstruction(network.decoder(codes), images)
        dependence = total_correlation(codes, mean, log_variance, self.data_size)
        return reconstruction + divergence_from_prior(mean, log_variance) + (self.beta - 1.0) * dependence

    def settled(self, epoch: int) -> bool:
        return True


def space_objective(recipe: SpaceRecipe, data_size: int) -> Objective[Vae]:
    """What the recipe of a latent space names. data_size: images of the training set."""
    term = RECONSTRUCTION_TERMS[recipe.reconstruction]
    if recipe.objective == "beta_tc":
        return BetaTotalCorrelation(recipe.beta, data_size, term)
    return Elbo(recipe.beta, recipe.capacity, recipe.capacity_epochs, term)


def elbo_terms(
    network: Vae, images: Tensor, reconstruction: ReconstructionTerm = bernoulli_loss
) -> tuple[Tensor, Tensor]:
    """Reconstruction loss and KL to the standard normal prior, both (B,), in nats, of one sampled code an image."""
    mean, log_variance, codes = _sampled(network, images)
    return reconstruction(network.decoder(codes), images), divergence_from_prior(mean, log_variance)


def _sampled(network: Vae, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, log variance and a code drawn from them: (B, D) each."""
    mean, log_variance = network.encoder.moments(images)
    return mean, log_variance, mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)
