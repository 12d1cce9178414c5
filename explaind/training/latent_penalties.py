"""What an objective charges for codes: divergence from the prior, and dependence between latents.

All in nats. Codes z ~ q(z|x) = N(mean, exp(log_variance)), diagonal; the prior is N(0, 1).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def divergence_from_prior(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, exp(log_variance)) ‖ N(0, 1)) summed over latents: (B, D) twice → (B,), nats."""
    return latent_divergences(mean, log_variance).sum(dim=1)


def latent_divergences(mean: Tensor, log_variance: Tensor) -> Tensor:
    """The same for each latent: (B, D), nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)


def weighted_log_densities(codes: Tensor, mean: Tensor, log_variance: Tensor, data_size: int) -> tuple[Tensor, Tensor]:
    """Minibatch-weighted sampling of the aggregate posterior q(z) = (1/N) Σ_n q(z|x_n) (β-TCVAE's estimator).

    codes, mean, log_variance: (M, D) of one batch, each code drawn from its own row. data_size: N.
    → log of (1/NM) Σ_m q(z|x_m): (M,), and of (1/NM) Σ_m q(z_d|x_m) for each latent: (M, D).
    Where the batch is the whole data set both lie log N under the truth; N is a constant without a gradient.
    """
    each = _log_densities(codes, mean, log_variance)
    scale = math.log(len(mean) * data_size)
    return torch.logsumexp(each.sum(dim=2), dim=1) - scale, torch.logsumexp(each, dim=1) - scale


def total_correlation(codes: Tensor, mean: Tensor, log_variance: Tensor, data_size: int) -> Tensor:
    """log q(z) − Σ_d log q(z_d), by minibatch-weighted sampling: (M,); its mean estimates KL(q(z) ‖ Π_d q(z_d)).

    Arguments as for `weighted_log_densities`. As published the estimate lies up to (D − 1)·log N above the total
    correlation: the joint's scale counts once, the marginals' D times.
    """
    joint, marginals = weighted_log_densities(codes, mean, log_variance, data_size)
    return joint - marginals.sum(dim=1)


def _log_densities(codes: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """log q(z_i,d | x_j): (M, M, D), i the code, j the image."""
    distance = codes[:, None] - mean[None]
    return -0.5 * (distance.square() * torch.exp(-log_variance)[None] + log_variance[None] + math.log(2 * math.pi))
