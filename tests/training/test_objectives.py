from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from explaind.backends.torch_networks import build, build_encoder
from explaind.training.objectives import Elbo, Vae, bernoulli_loss, divergence_from_prior, elbo_terms


def _tiny_vae() -> Vae:
    torch.manual_seed(0)
    decoder = build(
        (
            {"kind": "linear", "in": 3, "out": 4, "bias": True},
            {"kind": "sigmoid"},
            {"kind": "reshape", "shape": [1, 2, 2]},
        )
    )
    return Vae(build_encoder(({"kind": "flatten"},), 4, 3), decoder)


def test_divergence_is_torchs_own() -> None:
    mean, log_variance = torch.randn(5, 3), torch.randn(5, 3)
    expected = kl_divergence(Normal(mean, torch.exp(log_variance / 2)), Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(divergence_from_prior(mean, log_variance), expected)


def test_bernoulli_loss_sums_over_pixels() -> None:
    half = torch.full((2, 1, 3, 3), 0.5)
    torch.testing.assert_close(bernoulli_loss(half, half), torch.full((2,), 9 * 0.6931472))


def test_beta_weighs_the_divergence() -> None:
    vae, images, labels = _tiny_vae(), torch.rand(6, 1, 2, 2), torch.zeros(6, dtype=torch.long)
    losses = []
    for beta in (0.0, 1.0, 2.0):
        torch.manual_seed(1)
        losses.append(Elbo(beta).loss(vae, images, labels, 0.0).item())
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-5)
    assert losses[1] > losses[0]


def test_capacity_rises_and_then_stays() -> None:
    vae, images, labels = _tiny_vae(), torch.rand(6, 1, 2, 2), torch.zeros(6, dtype=torch.long)
    objective = Elbo(beta=10.0, capacity=8.0, capacity_epochs=4)
    for epoch, capacity in ((0.0, 0.0), (1.0, 2.0), (4.0, 8.0), (9.0, 8.0)):
        torch.manual_seed(1)
        loss = objective.loss(vae, images, labels, epoch)
        torch.manual_seed(1)
        reconstruction, divergence = elbo_terms(vae, images)
        torch.testing.assert_close(loss, reconstruction.mean() + 10.0 * (divergence.mean() - capacity).abs())
    assert [objective.settled(epoch) for epoch in (1, 3, 4, 5)] == [False, False, True, True]


def test_without_capacity_every_epoch_counts() -> None:
    assert Elbo(1.0).settled(1)
