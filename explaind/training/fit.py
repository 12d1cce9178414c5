"""One seeded, deterministic fit of one network: Adam, falling learning rate, early stopping, best state kept."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from explaind.errors import RecipeInvalid
from explaind.training.datasets import ImageSet
from explaind.training.objectives import Objective
from explaind.training.progress import Reporter
from explaind.training.recipe import FitRecipe

_EVALUATION_BATCH = 500

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True, slots=True)
class FitResult:
    """validation: mean value after each epoch. best_epoch counts from 1."""

    validation: tuple[float, ...]
    best_epoch: int


@contextmanager
def deterministic(seed: int, threads: int) -> Iterator[None]:
    """Seeded torch with deterministic algorithms on `threads` threads; the settings before are put back."""
    threads_before = torch.get_num_threads()
    deterministic_before = torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.set_num_threads(threads_before)
            torch.use_deterministic_algorithms(deterministic_before)


def fit(
    network: Network,
    objective: Objective[Network],
    train: ImageSet,
    validation: ImageSet,
    recipe: FitRecipe,
    reporter: Reporter,
) -> FitResult:
    """Trains `network` in place and leaves it in eval mode with the weights of its best epoch.

    Call inside `deterministic`. The objective's settled epochs compete by their mean validation value; the fit
    ends after `patience` of them without a better one. Raises RecipeInvalid where the fit diverges.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.learning_rate)
    batches = len(train) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=max(1, recipe.epochs * batches))
    best_state, best_value, best_epoch = copy.deepcopy(network.state_dict()), math.inf, 0
    values: list[float] = []
    for epoch in range(1, recipe.epochs + 1):
        with _naming_divergence(network):
            _train_epoch(network, objective, train, recipe.batch_size, epoch - 1, optimizer, schedule, reporter)
            values.append(_validate(network, objective, validation))
        reporter.note(f"epoch {epoch} of {recipe.epochs}, validation {values[-1]:.5g}")
        if not objective.settled(epoch):
            continue
        if values[-1] < best_value:
            best_state, best_value, best_epoch = copy.deepcopy(network.state_dict()), values[-1], epoch
        elif epoch - best_epoch >= recipe.patience:
            break
    network.load_state_dict(best_state)
    network.eval()
    return FitResult(tuple(values), best_epoch)


def _train_epoch(
    network: Network,
    objective: Objective[Network],
    train: ImageSet,
    batch_size: int,
    epochs_done: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    reporter: Reporter,
) -> None:
    network.train()
    order = torch.randperm(len(train)).numpy()
    batches = len(train) // batch_size  # an incomplete last batch would give batch norm a noisier estimate
    for number in range(batches):
        images, labels = tensors(train.take(order[number * batch_size : (number + 1) * batch_size]))
        loss = objective.loss(network, images, labels, epochs_done + number / batches)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        reporter.step()


@torch.no_grad()
def _validate(network: Network, objective: Objective[Network], validation: ImageSet) -> float:
    network.eval()
    values = [objective.validation(network, *batch).flatten() for batch in batches_of(validation)]
    return float(torch.cat(values).double().mean())


@contextmanager
def _naming_divergence(network: nn.Module) -> Iterator[None]:
    """Weights that are no numbers come out as RecipeInvalid, whichever operation trips over them first."""
    failure = None
    try:
        yield
    except RuntimeError as exc:
        failure = exc
    if not all(bool(parameter.isfinite().all()) for parameter in network.parameters()):
        raise RecipeInvalid("The fit diverged: lower its learning_rate in the recipe.") from failure
    if failure is not None:
        raise failure


def tensors(images: ImageSet) -> tuple[Tensor, Tensor]:
    """float32 images in [0, 1] and int64 labels."""
    return torch.from_numpy(images.images).float().div_(255.0), torch.from_numpy(images.labels)


def batches_of(images: ImageSet, size: int = _EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
    """All of `images` in order, the last batch smaller."""
    for start in range(0, len(images), size):
        stop = start + size
        yield tensors(ImageSet(images.images[start:stop], images.labels[start:stop]))
