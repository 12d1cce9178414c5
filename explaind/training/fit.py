"""One seeded, deterministic fit of one network: Adam, falling learning rate, early stopping, best state kept."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from explaind.errors import RecipeInvalid
from explaind.training.checkpoints import CheckpointFile
from explaind.training.datasets import ImageSet
from explaind.training.fit_state import FitState, beginning
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


class Diverged(RecipeInvalid):
    """epoch, step: where a fit's numbers ceased to be numbers, both from 1; step 0: at the epoch's end."""

    def __init__(self, epoch: int, step: int, problem: str) -> None:
        place = f"epoch {epoch}, step {step}" if step else f"the end of epoch {epoch}"
        self.place = f"{place} ({problem})"
        super().__init__(
            f"The fit diverged at {self.place}: lower its learning_rate in the recipe.",
            metadata={"epoch": str(epoch), "step": str(step)},
        )


def fit(
    network: Network,
    objective: Objective[Network],
    train: ImageSet,
    validation: ImageSet,
    recipe: FitRecipe,
    reporter: Reporter,
    checkpoint: CheckpointFile | None = None,
) -> FitResult:
    """Trains `network` in place and leaves it in eval mode with the weights of its best epoch.

    Call inside `deterministic`. The objective's settled epochs compete by their mean validation value; the fit
    ends after `patience` of them without a better one. checkpoint: written after each epoch; where it is of this very
    fit, the fit goes on from it, to the same weights to the bit. It is left for the caller to remove, once the
    weights are safe. Raises Diverged; the checkpoint is then of the last good epoch. Raises RecipeInvalid where the
    images are fewer than a batch.
    """
    batches = len(train) // recipe.batch_size
    if batches == 0:
        raise RecipeInvalid(
            f"The {len(train)} images to fit on are fewer than the batch_size of {recipe.batch_size}: lower that."
        )
    state = beginning(network, recipe.learning_rate, recipe.epochs * batches)
    if recipe.precision == "bfloat16" and torch.backends.cpu.get_cpu_capability() == "AVX2":
        reporter.note("this processor has to emulate bfloat16, which takes many times as long as float32")
    _resume(state, checkpoint, batches, reporter)
    while not _ended(state, objective, recipe):
        epoch = state.epoch + 1
        _train_epoch(state, objective, train, recipe, reporter)
        state.values.append(_validate(network, objective, validation, epoch))
        reporter.note(f"epoch {epoch} of {recipe.epochs}, validation {state.values[-1]:.5g}")
        if objective.settled(epoch):
            state.consider(state.values[-1])
        if checkpoint is not None:
            checkpoint.save(state.snapshot())
    network.load_state_dict(state.best_state)
    network.eval()
    return FitResult(tuple(state.values), state.best_epoch)


def _resume(state: FitState, checkpoint: CheckpointFile | None, batches: int, reporter: Reporter) -> None:
    snapshot = checkpoint.load() if checkpoint is not None else None
    if snapshot is not None:
        state.restore(snapshot)
        reporter.skip(state.epoch * batches)
        reporter.note(f"goes on after epoch {state.epoch}, from its checkpoint")


def _ended(state: FitState, objective: Objective[Network], recipe: FitRecipe) -> bool:
    patience_is_over = objective.settled(state.epoch) and state.epoch - state.best_epoch >= recipe.patience
    return state.epoch >= recipe.epochs or (state.epoch > 0 and patience_is_over)


def _train_epoch(
    state: FitState, objective: Objective[Any], train: ImageSet, recipe: FitRecipe, reporter: Reporter
) -> None:
    state.network.train()
    order = torch.randperm(len(train)).numpy()
    size, reduced = recipe.batch_size, recipe.precision == "bfloat16"
    batches = len(train) // size  # an incomplete last batch would give batch norm a noisier estimate
    for number in range(batches):
        images, labels = tensors(train.take(order[number * size : (number + 1) * size]))
        precision = torch.autocast("cpu", torch.bfloat16, enabled=reduced)
        with precision, _naming_divergence(state.network, state.epoch + 1, number + 1):
            loss = objective.loss(state.network, images, labels, state.epoch + number / batches)
        if not bool(loss.isfinite()):
            raise Diverged(state.epoch + 1, number + 1, f"the loss is {loss.item()}")
        state.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        state.optimizer.step()
        state.schedule.step()
        reporter.step()


@torch.no_grad()
def _validate(network: Network, objective: Objective[Network], validation: ImageSet, epoch: int) -> float:
    network.eval()
    with _naming_divergence(network, epoch, 0):
        values = [objective.validation(network, *batch).flatten() for batch in batches_of(validation)]
    mean = float(torch.cat(values).double().mean())
    if not math.isfinite(mean) or not _is_finite(network):
        raise Diverged(epoch, 0, f"the validation value is {mean:g}")
    return mean


@contextmanager
def _naming_divergence(network: nn.Module, epoch: int, step: int) -> Iterator[None]:
    """Weights that are no numbers come out as Diverged, whichever operation trips over them first."""
    try:
        yield
    except RuntimeError as exc:
        if _is_finite(network):
            raise
        raise Diverged(epoch, step, "weights that are no numbers") from exc


def _is_finite(network: nn.Module) -> bool:
    return all(bool(parameter.isfinite().all()) for parameter in network.parameters())


def tensors(images: ImageSet) -> tuple[Tensor, Tensor]:
    """float32 images in [0, 1] and int64 labels."""
    return torch.from_numpy(images.images).float().div_(255.0), torch.from_numpy(images.labels)


def batches_of(images: ImageSet, size: int = _EVALUATION_BATCH) -> Iterator[tuple[Tensor, Tensor]]:
    """All of `images` in order, the last batch smaller."""
    for start in range(0, len(images), size):
        stop = start + size
        yield tensors(ImageSet(images.images[start:stop], images.labels[start:stop]))
