"""[LR]'s seven VAEs and its retrained one on the pedestrians there are: each fitted, measured and kept by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from explaind.explanations import traversal
from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import FloatArray
from explaind.training.adapters import TrainedAutoencoder
from explaind.training.data_recipe import DataRecipe
from explaind.training.datasets import Splits, as_floats, load_splits
from explaind.training.fit import FitResult
from explaind.training.progress import Reporter
from explaind.training.recipe import ReferenceRecipe, SpaceRecipe, digest_of
from explaind.training.studies.kept_fits import StudyFit, fit_missing
from explaind.training.trained import SpaceNetworks, load_space

_DATA = DataRecipe(set="pedestrians", validation=80, calibration=100)
_USED = ReferenceRecipe()
_SEED = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What [LR] reports of a model (Tables 3 to 8): loss: at the end of its training; seconds: an epoch."""

    nmae: float
    used_latents: int
    loss: int | None = None
    epochs: int | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """size: s, m or l. capacity: of the retrained one, nats."""

    size: str
    beta: float
    source: Source
    latents: int = 32
    capacity: float | None = None


MODELS: Mapping[str, Model] = {
    "S1": Model(size="s", beta=1, source=Source(loss=15310, nmae=0.036, used_latents=28, epochs=270, seconds=171)),
    "S2": Model(size="s", beta=6, source=Source(loss=15496, nmae=0.044, used_latents=18, epochs=250, seconds=169)),
    "M1": Model(size="m", beta=1, source=Source(loss=15262, nmae=0.031, used_latents=28, epochs=130, seconds=455)),
    "M2": Model(size="m", beta=3, source=Source(loss=15362, nmae=0.037, used_latents=20, epochs=114, seconds=455)),
    "M3": Model(size="m", beta=6, source=Source(loss=15426, nmae=0.038, used_latents=17, epochs=265, seconds=453)),
    "M3 retrained": Model(size="m", beta=6, capacity=100.0, source=Source(nmae=0.028, used_latents=15)),
    "L1": Model(
        size="l", beta=6, latents=34, source=Source(loss=15403, nmae=0.034, used_latents=17, epochs=105, seconds=997)
    ),
    "L2": Model(
        size="l", beta=6, latents=64, source=Source(loss=15411, nmae=0.036, used_latents=15, epochs=267, seconds=1287)
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """epochs: by size of the network, as the larger take longer. images: to fit on, of 313; None: all."""

    epochs: Mapping[str, int]
    images: int | None = None
    batch_size: int = 8
    learning_rate: float = 2e-3

    def recipe(self, model: Model) -> SpaceRecipe:
        epochs = self.epochs[model.size]
        return SpaceRecipe(
            architecture=f"lr_{model.size}_vae",
            roles=("ranking",),
            objective="beta" if model.capacity is None else "capacity",
            beta=model.beta,
            capacity=model.capacity,
            capacity_epochs=max(1, epochs // 2),
            latents=model.latents,
            epochs=epochs,
            patience=epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
        )


FULL = Plan(epochs={"s": 8, "m": 4, "l": 2})
QUICK = Plan(epochs={"s": 1, "m": 1, "l": 1}, images=32)


def study_splits(data: Path, plan: Plan) -> Splits:
    """Raises DataSetInvalid."""
    return load_splits(_DATA.model_copy(update={"images": plan.images}), data)


def unseen(splits: Splits) -> FloatArray:
    """The whole test set: no network was fitted on it, none stopped by it."""
    return as_floats(np.concatenate([splits.calibration.images, splits.evaluation.images]))


def fit_all(
    plan: Plan,
    splits: Splits,
    folder: Path,
    reporter: Reporter,
    *,
    names: Sequence[str] = tuple(MODELS),
    after_each: Callable[[], None] = lambda: None,
) -> None:
    """Fits and measures what `folder` has not yet of this plan; a fit that was killed goes on after its last epoch.

    names: of MODELS. after_each: called when one more is finished. Raises ConfigurationError where nothing can be
    written.
    """

    def measure(each: StudyFit, networks: SpaceNetworks, result: FitResult, seconds: float) -> dict[str, Any]:
        described = _described(each.title, splits, result, seconds)
        return described | _measured(TrainedAutoencoder(networks), splits, each.recipe)

    fits = [_study_fit(plan, name) for name in names]
    fit_missing(fits, splits.train, splits.validation, folder, reporter, measure, after_each)


def load_results(plan: Plan, folder: Path) -> dict[str, dict[str, Any]]:
    """By model, of those that are finished."""
    found = {name: _study_fit(plan, name).result(folder) for name in MODELS}
    return {name: result for name, result in found.items() if result is not None}


def load_autoencoder(folder: Path, name: str) -> TrainedAutoencoder:
    """Raises BundleInvalid where it is not finished."""
    return TrainedAutoencoder(load_space(folder, _file(name)))


def _file(name: str) -> str:
    return name.lower().replace(" ", "_")


def _study_fit(plan: Plan, name: str) -> StudyFit:
    """What the source reports decides no figure, nor do other sizes' epochs."""
    recipe = plan.recipe(MODELS[name])
    return StudyFit(
        name=_file(name),
        title=name,
        recipe=recipe,
        data_set="pedestrians",
        seed=_SEED,
        digest=digest_of([recipe.model_dump(mode="json"), plan.images, _SEED, 1]),
    )


def _described(name: str, splits: Splits, result: FitResult, seconds: float) -> dict[str, Any]:
    model, epochs = MODELS[name], len(result.validation)
    return {
        "beta": model.beta,
        "latents": model.latents,
        "capacity": model.capacity,
        "epochs": epochs,
        "best_epoch": result.best_epoch,
        "cpu_seconds_an_epoch": seconds / epochs,
        "images": len(splits.train),
        "unseen_images": len(unseen(splits)),
        "source": asdict(model.source),
    }


def _measured(autoencoder: TrainedAutoencoder, splits: Splits, recipe: SpaceRecipe) -> dict[str, Any]:
    """On unseen images, from the mean code. cross_entropy: summed over an image's values; excess: of it over the least
    possible, the images' own; loss: with the KL as the objective weighs it; all in nats."""
    images = unseen(splits)
    mean, deviation = autoencoder.encode(images)
    row, values = losses(images, autoencoder.decode(mean)), int(np.prod(images.shape[1:]))
    least = float(losses(images, images).color_cross_entropy.mean()) * values
    divergences = traversal.mean_kl(mean, deviation)
    effects = traversal.visible_effect(autoencoder, recipe.latents or 0)
    entropy, divergence = float(row.color_cross_entropy.mean()) * values, float(divergences.sum())
    used = traversal.used(
        divergences, effects, minimum_kl=_USED.minimum_kl, minimum_effect=_USED.minimum_visible_effect
    )
    return {
        "nmae": float(row.mae.mean()) / float(images.max() - images.min()),
        "used_latents": int(used.sum()),
        "cross_entropy": entropy,
        "cross_entropy_per_value": entropy / values,
        "excess": entropy - least,
        "kl": divergence,
        "loss": entropy + recipe.beta * abs(divergence - (recipe.capacity or 0.0)),
    }
