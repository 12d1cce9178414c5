"""Few labels tie latents to factors; the rest of the objective stays what it was."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from explaind.backends.torch_networks import build, build_encoder
from explaind.errors import DataSetInvalid
from explaind.training.adapters import TrainedAutoencoder
from explaind.training.data_sets import DATA_SETS
from explaind.training.datasets import ImageSet, as_floats
from explaind.training.datasets.planted import FACTORS, Scenes, draw_scenes, render
from explaind.training.fit import deterministic, tensors
from explaind.training.objectives import Elbo, Objective, Vae, space_objective
from explaind.training.recipe import SpaceRecipe
from explaind.training.supervision import Supervised, objective_of
from explaind.training.trained import fold_autoencoder

KIND = DATA_SETS["planted_shape"]


def _space(**keys: object) -> SpaceRecipe:
    fit = {"architecture": "planted_dense_vae", "epochs": 1, "roles": ["ranking"], "latents": 7, "beta": 4.0}
    return SpaceRecipe.model_validate({**fit, **keys})


def _supervised(images: int, weight: float = 20.0) -> SpaceRecipe:
    return _space(supervised_images=images, supervision_weight=weight)


def _labelled(scenes: Scenes) -> ImageSet:
    return ImageSet(render(scenes), scenes.labels("shape"), factors=scenes.factors())


def _vae() -> Vae:
    table = _space().table(KIND)
    return Vae(build_encoder(table.trunk, table.features, table.latents), build(table.decoder))


def test_the_first_images_are_labelled_with_standardised_factors() -> None:
    train = _labelled(draw_scenes(60, 3))
    objective = objective_of(_supervised(40), train)
    assert isinstance(objective, Supervised)
    assert (objective.unsupervised, objective.weight) == (Elbo(4.0), 20.0)
    assert np.array_equal(objective.images.numpy(), as_floats(train.images[:40]))
    factors = objective.factors.numpy()
    assert np.allclose(factors.mean(axis=0), 0, atol=1e-5) and np.allclose(factors.std(axis=0), 1, atol=1e-5)
    given = draw_scenes(60, 3).factors()[:40]
    assert all(np.corrcoef(one, other)[0, 1] > 0.9999 for one, other in zip(factors.T, given.T, strict=True))


def test_without_labels_the_objective_is_the_recipes() -> None:
    assert objective_of(_space(), _labelled(draw_scenes(60, 3))) == space_objective(_space(), 60)


class _Nothing:
    """An objective that asks for nothing, so that what is added stands alone."""

    def loss(self, network: Vae, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
        return torch.zeros(())

    def validation(self, network: Vae, images: Tensor, labels: Tensor) -> Tensor:
        return torch.zeros(len(images))

    def settled(self, epoch: int) -> bool:
        return epoch > 3


def test_the_term_is_the_squared_error_of_the_first_latents_and_leaves_the_rest_free() -> None:
    train = _labelled(draw_scenes(30, 4))
    images, labels = tensors(train)
    with deterministic(5, 1):
        vae = _vae().eval()
    factors = torch.from_numpy(train.factors).float()
    objective = Supervised(_Nothing(), images, factors, weight=3.0)
    expected = 3.0 * (vae.encoder.moments(images)[0][:, :5] - factors).square().sum(dim=1).mean()
    loss = objective.loss(vae, images, labels, 0.0)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(objective.validation(vae, images[:7], labels[:7]), expected.expand(7))
    loss.backward()  # type: ignore[no-untyped-call]
    gradient = vae.encoder.mean.weight.grad
    assert gradient is not None
    assert bool((gradient[:5].abs().sum(dim=1) > 0).all()) and bool((gradient[5:] == 0).all())
    assert [objective.settled(epoch) for epoch in (3, 4)] == [False, True]


def test_of_more_labels_than_a_batch_some_are_drawn_anew_each_step() -> None:
    train = _labelled(draw_scenes(50, 4))
    images, labels = tensors(train)
    with deterministic(5, 1):
        vae = _vae().eval()
        factors = torch.zeros(50, 5)
        factors[:, 0] = torch.arange(50)
        objective = Supervised(_Nothing(), images, factors, weight=1.0)
        losses = {objective.loss(vae, images[:8], labels[:8], 0.0).item() for _ in range(5)}
    assert len(losses) == 5


def test_labels_bring_each_factor_to_its_latent_in_images_without_labels() -> None:
    train, unseen = _labelled(draw_scenes(800, 6)), draw_scenes(500, 7)
    found = {}
    for name, space in {"labels": _supervised(100), "none": _space()}.items():
        with deterministic(8, 1):
            vae = _fitted(_vae(), objective_of(space, train), train)
            mean, _ = TrainedAutoencoder(fold_autoencoder(vae, space.table(KIND))[0]).encode(as_floats(render(unseen)))
        table = np.corrcoef(mean.T, unseen.factors().T)[: mean.shape[1], mean.shape[1] :]
        found[name] = np.abs(table).argmax(axis=0).tolist()
    assert found["labels"] == list(range(len(FACTORS))) != found["none"]


def _fitted(vae: Vae, objective: Objective[Vae], train: ImageSet) -> Vae:
    optimizer = torch.optim.Adam(vae.parameters(), lr=3e-3)
    for step in range(80):
        images, labels = tensors(train.take(np.arange(100) + 100 * (step % 8)))
        optimizer.zero_grad()
        objective.loss(vae, images, labels, 0.0).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return vae.eval()


@pytest.mark.parametrize("known", [True, False])
def test_too_few_known_factors_are_refused(known: bool) -> None:
    train = _labelled(draw_scenes(30, 4))
    train = train if known else ImageSet(train.images, train.labels)
    with pytest.raises(DataSetInvalid, match=f"of {30 if known else 0} training images are known, not of 40; lower"):
        objective_of(_supervised(40), train)
