from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from explaind.backends.torch_networks import build, build_encoder
from explaind.training.architectures import AUTOENCODERS
from explaind.training.fit import deterministic
from explaind.training.objectives import (
    BetaTotalCorrelation,
    Elbo,
    Objective,
    Vae,
    elbo_terms,
    space_objective,
)
from explaind.training.recipe import SpaceRecipe
from explaind.training.reconstruction_terms import RECONSTRUCTION_TERMS

DIGITS = Path(__file__).parents[1] / "data" / "images.npz"


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


def test_beta_one_leaves_no_total_correlation_to_weigh() -> None:
    vae, images, labels = _tiny_vae(), torch.rand(6, 1, 2, 2), torch.zeros(6, dtype=torch.long)
    losses = []
    for objective in (Elbo(1.0), BetaTotalCorrelation(1.0, 600)):
        torch.manual_seed(1)
        losses.append(objective.loss(vae, images, labels, 0.0))
    torch.testing.assert_close(losses[0], losses[1])


def test_the_data_sets_size_moves_the_loss_but_not_its_gradient() -> None:
    vae, images, labels = _tiny_vae(), torch.rand(6, 1, 2, 2), torch.zeros(6, dtype=torch.long)
    found = []
    for data_size in (6, 600):
        torch.manual_seed(1)
        loss = BetaTotalCorrelation(5.0, data_size).loss(vae, images, labels, 0.0)
        (gradient,) = torch.autograd.grad(loss, [vae.encoder.mean.weight])
        found.append((loss.item(), gradient))
    assert found[1][0] - found[0][0] == pytest.approx((5 - 1) * (3 - 1) * np.log(100), rel=1e-5)
    torch.testing.assert_close(found[0][1], found[1][1])


def _space(**keys: object) -> SpaceRecipe:
    fit = {"architecture": "small_mnist_vae", "epochs": 1, "roles": ["ranking"]}
    return SpaceRecipe.model_validate({**fit, **keys})


def test_the_recipe_chooses() -> None:
    assert space_objective(_space(beta=4.0), 100) == Elbo(4.0)
    assert space_objective(_space(objective="vae"), 100) == Elbo(1.0)
    capacity = space_objective(_space(beta=4.0, capacity=9.0, epochs=2, capacity_epochs=2, reconstruction="ssim"), 100)
    assert capacity == Elbo(4.0, 9.0, 2, RECONSTRUCTION_TERMS["ssim"])
    chosen = space_objective(_space(objective="beta_tc", beta=6.0, reconstruction="gaussian"), 100)
    assert chosen == BetaTotalCorrelation(6.0, 100, RECONSTRUCTION_TERMS["gaussian"])


def _digits() -> Tensor:
    with np.load(DIGITS) as archive:
        return torch.from_numpy(archive["mnist"][:, None]).float() / 255


@pytest.mark.parametrize(
    "keys",
    [
        {"objective": "vae"},
        {"objective": "beta", "beta": 4.0},
        {"objective": "capacity", "beta": 4.0, "capacity": 10.0},
        {"objective": "beta_tc", "beta": 6.0},
        *({"reconstruction": name} for name in ("gaussian", "cosine", "ssim")),
        *({"objective": "beta_tc", "beta": 6.0, "reconstruction": name} for name in ("gaussian", "cosine", "ssim")),
    ],
    ids=lambda keys: "-".join(str(value) for value in keys.values()),
)
def test_a_few_steps_lower_the_loss_of_real_digits(keys: dict[str, object]) -> None:
    images = _digits()
    labels = torch.zeros(len(images), dtype=torch.long)
    with deterministic(seed=2, threads=1):
        table = AUTOENCODERS["small_mnist_vae"]
        vae = Vae(build_encoder(table.trunk, table.features, table.latents), build(table.decoder))
        objective = space_objective(_space(**keys), len(images))
        before = _value(objective, vae, images, labels)
        optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
        for step in range(12):
            batch = slice(100 * (step % 3), 100 * (step % 3 + 1))
            optimizer.zero_grad()
            objective.loss(vae, images[batch], labels[batch], 1.0).backward()  # type: ignore[no-untyped-call]
            assert all(bool(p.grad.isfinite().all()) for p in vae.parameters() if p.grad is not None)
            optimizer.step()
        assert _value(objective, vae, images, labels) < before


def _value(objective: Objective[Vae], vae: Vae, images: Tensor, labels: Tensor) -> float:
    """Batch norm by the batch's own statistics: a dozen steps are too few for the running ones."""
    torch.manual_seed(3)
    with torch.no_grad():
        return objective.validation(vae.train(), images, labels).mean().item()
