"""The networks of the study on dSprites: objectives × weights × seeds, each fitted, scored and kept by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from explaind.training.datasets import ImageSet
from explaind.training.datasets.sprites import load_sprites
from explaind.training.evaluation.disentanglement.information import Factors
from explaind.training.evaluation.disentanglement.scores import scores
from explaind.training.fit import FitResult, tensors
from explaind.training.latent_penalties import latent_divergences
from explaind.training.progress import Reporter
from explaind.training.recipe import SpaceRecipe, digest_of
from explaind.training.reconstruction_terms import bernoulli_loss
from explaind.training.studies.kept_fits import StudyFit, fit_missing
from explaind.training.trained import SpaceNetworks, load_space

ObjectiveName = Literal["beta", "beta_tc"]
OBJECTIVES: tuple[ObjectiveName, ...] = ("beta", "beta_tc")
USED = 0.1
"""Nats of mean KL above which a latent is used."""
_VALIDATION = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """images: to fit on. seen: unseen ones, to score on. The seed of the sample is the same for all networks."""

    betas: tuple[float, ...] = (6.0,)
    seeds: tuple[int, ...] = (1, 2, 3)
    images: int = 32_000
    seen: int = 5000
    epochs: int = 3
    batch_size: int = 64
    learning_rate: float = 1e-3
    architecture: str = "small_sprites_vae"
    latents: int = 10

    @property
    def steps(self) -> int:
        """Of each fit."""
        return self.epochs * (self.images // self.batch_size)

    def runs(self) -> Iterator[tuple[float, int, ObjectiveName]]:
        """Seed by seed, so that what is stopped early still compares like with like."""
        return ((beta, seed, name) for beta in self.betas for seed in self.seeds for name in OBJECTIVES)

    def recipe(self, beta: float, objective: ObjectiveName) -> SpaceRecipe:
        return SpaceRecipe(
            architecture=self.architecture, roles=("ranking",), objective=objective, beta=beta, epochs=self.epochs,
            patience=self.epochs, batch_size=self.batch_size, learning_rate=self.learning_rate, latents=self.latents,
        )  # fmt: skip


QUICK = Plan(seeds=(1,), images=1280, seen=400, epochs=1)


@dataclass(frozen=True, slots=True, eq=False)
class StudyImages:
    """seen, factors: unseen images and the five factors' values (N, 5)."""

    train: ImageSet
    validation: ImageSet
    seen: ImageSet
    factors: Factors


def study_images(data: Path, plan: Plan) -> StudyImages:
    """A seeded sample, divided at random. Raises DataSetInvalid."""
    sprites = load_sprites(data, plan.images + plan.seen + _VALIDATION, seed=1)
    whole = ImageSet(sprites.images, sprites.factors[:, 0])
    order = np.random.default_rng(1).permutation(len(whole))
    train, seen, validation = np.split(order, [plan.images, plan.images + plan.seen])
    return StudyImages(whole.take(train), whole.take(validation), whole.take(seen), sprites.factors[seen])


def run_name(beta: float, seed: int, objective: ObjectiveName) -> str:
    """Of a network's files in the run folder."""
    return f"{objective}_{beta:g}_seed{seed}"


def fit_all(
    plan: Plan, images: StudyImages, folder: Path, reporter: Reporter, *, after_each: Callable[[], None] = lambda: None
) -> None:
    """Fits and scores what `folder` has not yet of this plan; a fit that was killed goes on after its last epoch.

    after_each: called when one more network is finished. Raises ConfigurationError where nothing can be written.
    """

    def measure(each: StudyFit, networks: SpaceNetworks, result: FitResult, seconds: float) -> dict[str, Any]:
        chosen = {"objective": each.recipe.objective, "beta": each.recipe.beta, "seed": each.seed}
        return {**chosen, "cpu_seconds": seconds, **_measured(networks, images)}

    fits = [_study_fit(plan, *run) for run in plan.runs()]
    fit_missing(fits, images.train, images.validation, folder, reporter, measure, after_each)


def load_results(plan: Plan, folder: Path) -> list[dict[str, Any]]:
    """Of the networks of this plan that are finished, in its order."""
    found = (_study_fit(plan, *run).result(folder) for run in plan.runs())
    return [result for result in found if result is not None]


def load_networks(folder: Path, beta: float, seed: int, objective: ObjectiveName) -> SpaceNetworks:
    """Raises BundleInvalid where it is not finished."""
    return load_space(folder, run_name(beta, seed, objective))


def _study_fit(plan: Plan, beta: float, seed: int, objective: ObjectiveName) -> StudyFit:
    """Other seeds and weights of the plan decide nothing of it. The seed is that of the fit alone, so both objectives
    begin with the same weights and batches."""
    settings = {key: value for key, value in asdict(plan).items() if key not in ("betas", "seeds")}
    name = run_name(beta, seed, objective)
    return StudyFit(
        name=name,
        title=name,
        recipe=plan.recipe(beta, objective),
        data_set="dsprites",
        seed=seed,
        digest=digest_of([settings, beta, seed, objective, 1]),
    )


@torch.no_grad()
def _measured(networks: SpaceNetworks, images: StudyImages) -> dict[str, Any]:
    """Scores on the unseen images, and the nats of reconstruction and KL there."""
    pixels, _ = tensors(images.seen)
    mean, deviation = networks.encoder(pixels)
    divergences = latent_divergences(mean, 2 * deviation.log()).mean(dim=0)
    found = asdict(scores(mean.double().numpy(), deviation.double().numpy(), images.factors))
    found["information"] = found["information"].tolist()
    return {
        **found,
        "reconstruction": float(bernoulli_loss(networks.decoder(mean), pixels).mean()),
        "kl": float(divergences.sum()),
        "latent_kl": divergences.tolist(),
        "used_latents": int((divergences > USED).sum()),
    }
