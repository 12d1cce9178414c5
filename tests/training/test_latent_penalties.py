from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import MixtureSameFamily, Normal, kl_divergence
from torch.distributions.categorical import Categorical
from torch.distributions.independent import Independent

from explaind.training.latent_penalties import divergence_from_prior, total_correlation, weighted_log_densities

BATCH = 2000
DEVIATION = 0.6


def test_divergence_is_torchs_own() -> None:
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    expected = kl_divergence(Normal(mean, torch.exp(log_variance / 2)), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(divergence_from_prior(mean, log_variance), expected)


def test_on_a_whole_data_set_the_densities_are_the_mixtures_less_log_n() -> None:
    torch.manual_seed(0)
    mean, log_variance = torch.randn(7, 3), 0.3 * torch.randn(7, 3)
    codes = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
    joint, marginals = weighted_log_densities(codes, mean, log_variance, data_size=7)
    deviation = torch.exp(log_variance / 2)
    mixture = MixtureSameFamily(Categorical(torch.ones(7)), Independent(Normal(mean, deviation), 1))
    torch.testing.assert_close(joint, mixture.log_prob(codes) - math.log(7))  # type: ignore[no-untyped-call]
    for latent in range(3):
        one = MixtureSameFamily(Categorical(torch.ones(7)), Normal(mean[:, latent], deviation[:, latent]))
        torch.testing.assert_close(marginals[:, latent], one.log_prob(codes[:, latent]) - math.log(7))  # type: ignore[no-untyped-call]


def _estimate(mean: Tensor) -> float:
    """Mean total correlation of one batch that is the data set, less the published estimate's constant."""
    noise = DEVIATION * torch.randn_like(mean)
    log_variance = torch.full_like(mean, 2 * math.log(DEVIATION))
    values = total_correlation(mean + noise, mean, log_variance, data_size=len(mean))
    return values.mean().item() - (mean.shape[1] - 1) * math.log(len(mean))


def test_independent_latents_have_none() -> None:
    torch.manual_seed(1)
    assert _estimate(torch.randn(BATCH, 3)) == pytest.approx(0.0, abs=0.05)


@pytest.mark.parametrize("latents", [2, 3])
def test_copied_latents_have_the_gaussians_closed_form(latents: int) -> None:
    torch.manual_seed(2)
    mean = torch.randn(BATCH, 1).expand(BATCH, latents)
    covariance = torch.ones(latents, latents) + DEVIATION**2 * torch.eye(latents)
    exact = 0.5 * (torch.log(covariance.diagonal()).sum() - torch.logdet(covariance)).item()
    assert exact > 0.3
    assert _estimate(mean) == pytest.approx(exact, abs=0.05)


def test_one_latent_depends_on_nothing() -> None:
    mean = torch.randn(9, 1)
    values = total_correlation(mean, mean, torch.zeros_like(mean), data_size=50)
    torch.testing.assert_close(values, torch.zeros(9))
