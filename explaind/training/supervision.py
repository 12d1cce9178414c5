"""Few labels: the known factors of some training images say which latent is to hold which factor.

Locatello et al. 2020, «Disentangling Factors of Variation Using Few Labels», where an unsupervised objective is joined
by a supervised term on a few labelled images; squared errors, since the factors here are continuous.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from explaind.errors import DataSetInvalid
from explaind.training.datasets import ImageSet, as_floats
from explaind.training.objectives import Objective, Vae, space_objective
from explaind.training.recipe import SpaceRecipe


@dataclass(frozen=True, slots=True, eq=False)
class Supervised:
    """`unsupervised` + weight·Σ_i (μ_i(x) − factor_i)², the mean over labelled images: latent i is tied to factor i,
    those beyond the factors are free.

    images: float32 (N, C, H, W) in [0, 1]. factors (N, F), F ≤ D: standardised, so that they are spread as the prior.
    """

    unsupervised: Objective[Vae]
    images: Tensor
    factors: Tensor
    weight: float

    def loss(self, network: Vae, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
        """As many labelled images as the batch has are drawn anew each step, or all where there are no more."""
        count = len(self.images)
        chosen = torch.randperm(count)[: len(images)] if count > len(images) else torch.arange(count)
        error = _squared_errors(network, self.images[chosen], self.factors[chosen])
        return self.unsupervised.loss(network, images, labels, epoch) + self.weight * error.mean()

    def validation(self, network: Vae, images: Tensor, labels: Tensor) -> Tensor:
        error = _squared_errors(network, self.images, self.factors)
        return self.unsupervised.validation(network, images, labels) + self.weight * error.mean()

    def settled(self, epoch: int) -> bool:
        return self.unsupervised.settled(epoch)


def _squared_errors(network: Vae, images: Tensor, factors: Tensor) -> Tensor:
    """Summed over the factors: (B,)."""
    mean, _ = network.encoder.moments(images)
    return (mean[:, : factors.shape[1]] - factors).square().sum(dim=1)


def objective_of(recipe: SpaceRecipe, train: ImageSet) -> Objective[Vae]:
    """What the recipe of a latent space names; with `supervised_images`, the first so many of `train` are labelled.

    Raises DataSetInvalid where there are fewer, or their factors are not known.
    """
    unsupervised = space_objective(recipe, len(train))
    if recipe.supervised_images is None or recipe.supervision_weight is None:
        return unsupervised
    if train.factors is None or len(train) < recipe.supervised_images:
        known = 0 if train.factors is None else len(train)
        raise DataSetInvalid(
            f"The factors of {known} training images are known, not of {recipe.supervised_images}; "
            "lower supervised_images in the recipe."
        )
    factors = train.factors[: recipe.supervised_images]
    spread = (factors - factors.mean(axis=0)) / factors.std(axis=0).clip(1e-9)
    images = torch.from_numpy(as_floats(train.images[: recipe.supervised_images]))
    return Supervised(unsupervised, images, torch.from_numpy(spread.astype(np.float32)), recipe.supervision_weight)
