from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from explaind.errors import RecipeInvalid
from explaind.training.datasets import ImageSet
from explaind.training.fit import fit
from explaind.training.progress import LogReporter
from explaind.training.recipe import FitRecipe

IMAGES = ImageSet(np.full((40, 1, 2, 2), 255, np.uint8), np.zeros(40, np.int64))


class Weight(nn.Module):
    """One number, so that a test knows which epoch's was kept."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1))


@dataclass
class Scripted:
    """Pulls the weight up without end; the validation values are given."""

    validations: list[float]
    first_settled: int = 1
    factor: float = 1.0
    seen: list[float] = field(default_factory=list)

    def loss(self, network: Weight, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
        return -self.factor * network.value.sum()

    def validation(self, network: Weight, images: Tensor, labels: Tensor) -> Tensor:
        self.seen.append(network.value.item())
        return torch.full((len(images),), self.validations[len(self.seen) - 1])

    def settled(self, epoch: int) -> bool:
        return epoch >= self.first_settled


def _fit(objective: Scripted, epochs: int, patience: int) -> tuple[Weight, tuple[float, ...], int]:
    network = Weight()
    recipe = FitRecipe(architecture="", epochs=epochs, patience=patience, batch_size=20, learning_rate=0.1)
    result = fit(network, objective, IMAGES, IMAGES, recipe, LogReporter(io.StringIO()))
    return network, result.validation, result.best_epoch


def test_the_best_epochs_weights_are_kept() -> None:
    objective = Scripted([3.0, 1.0, 2.0, 2.5])
    network, values, best = _fit(objective, epochs=4, patience=9)
    assert (values, best) == ((3.0, 1.0, 2.0, 2.5), 2)
    assert network.value.item() == objective.seen[1] != objective.seen[3]
    assert not network.training


def test_patience_ends_the_fit() -> None:
    _, values, best = _fit(Scripted([3.0, 1.0, 2.0, 2.0, 0.5]), epochs=5, patience=2)
    assert (len(values), best) == (4, 2)


def test_epochs_before_the_schedule_has_settled_do_not_compete() -> None:
    _, values, best = _fit(Scripted([0.1, 0.2, 5.0, 6.0], first_settled=3), epochs=4, patience=1)
    assert (len(values), best) == (4, 3)


def test_a_fit_that_diverges_says_what_to_change() -> None:
    with pytest.raises(RecipeInvalid, match="lower its learning_rate"):
        _fit(Scripted([1.0], factor=float("nan")), epochs=1, patience=1)


def test_images_fewer_than_a_batch_are_refused() -> None:
    recipe = FitRecipe(architecture="", epochs=1, batch_size=41)
    with pytest.raises(RecipeInvalid, match="40 images to fit on are fewer than the batch_size of 41"):
        fit(Weight(), Scripted([1.0]), IMAGES, IMAGES, recipe, LogReporter(io.StringIO()))


def test_other_failures_stay_what_they_are() -> None:
    class Broken(Scripted):
        def loss(self, network: Weight, images: Tensor, labels: Tensor, epoch: float) -> Tensor:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        _fit(Broken([1.0]), epochs=1, patience=1)
