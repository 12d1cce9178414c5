"""`explaind train`: recipe → networks in a run folder. Finished networks with the same digest are not fitted again."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from explaind.backends.torch_networks import build, build_encoder
from explaind.bundles import reference as reference_file
from explaind.errors import ConfigurationError
from explaind.training.architectures import AutoencoderTable, ClassifierTable
from explaind.training.datasets import ImageSet, Splits, load_splits
from explaind.training.fit import FitResult, batches_of, deterministic, fit
from explaind.training.objectives import CrossEntropy, Objective, Vae, space_objective
from explaind.training.progress import Reporter, figures, reporting
from explaind.training.recipe import ClassifierRecipe, FitRecipe, Recipe, SpaceRecipe, digest_of, load_recipe
from explaind.training.reference import build_reference, known_outliers
from explaind.training.trained import (
    CLASSIFIER,
    JUDGE,
    NetworkRecord,
    SpaceNetworks,
    Trained,
    fold_autoencoder,
    fold_classifier,
    load_classifier,
    load_record,
    load_trained,
    save_network,
    table_json,
)

__all__ = ["REFERENCE", "Trained", "load_trained", "reference_record", "train", "train_networks"]

REFERENCE = "reference.npz"
REFERENCE_RECORD = "reference.json"


@dataclass(frozen=True, slots=True)
class _Session:
    """One call of `train_networks`: what every network's fit needs."""

    recipe: Recipe
    splits: Splits
    data_digest: str
    run: Path
    fresh: bool
    reporter: Reporter

    def finished(self, name: str, digest: str) -> bool:
        record = None if self.fresh else load_record(self.run, name)
        return record is not None and record.digest == digest


def train(
    recipe_path: Path,
    *,
    data: Path = Path("../shared/data"),
    runs: Path = Path("training_runs"),
    fresh: bool = False,
    download: bool = False,
) -> Path:
    """Fits all networks of the recipe, takes the reference statistics and returns the run folder `runs/<name>`.

    recipe_path: a recipe.toml or the bundle folder that has one. data: folder of the data sets. fresh: fit again
    what is finished. download: let torchvision fetch a data set that is not in `data`.
    The folder then loads with `load_trained` and `bundles.reference.load(run / "reference.npz")`.
    Raises RecipeInvalid, DataSetInvalid, or ConfigurationError where the run folder cannot be written.
    """
    recipe = load_recipe(recipe_path)
    splits = load_splits(recipe.data, data, download=download)
    known_outliers(recipe, data)  # needed last; that they are missing is said first
    run = runs / recipe.name
    try:
        run.mkdir(parents=True, exist_ok=True)
        with reporting() as reporter:
            trained = train_networks(recipe, splits, run, reporter, fresh=fresh)
            _take_reference(recipe, trained, splits, data, run, reporter)
    except OSError as exc:
        raise ConfigurationError(
            f"The run folder {run} cannot be written ({exc.strerror}); free or change it, or name another."
        ) from exc
    return run


def train_networks(recipe: Recipe, splits: Splits, run: Path, reporter: Reporter, *, fresh: bool = False) -> Trained:
    """Fits what is not yet finished: the classifier, the judge, then each space, each with its own seed."""
    session = _Session(recipe, splits, _digest_of_images(splits.train), run, fresh, reporter)
    _train_classifier(session, CLASSIFIER, recipe.classifier)
    for name, space in recipe.spaces.items():
        _train_space(session, name, space)
    if recipe.judge is not None:
        _train_classifier(session, JUDGE, recipe.judge)
    return load_trained(run)


def _take_reference(
    recipe: Recipe, trained: Trained, splits: Splits, data: Path, run: Path, reporter: Reporter
) -> None:
    """Skipped where the statistics in the folder are of these networks and this recipe."""
    weights = {name: record.digest for name, record in trained.records.items()}
    digest = digest_of({"recipe": recipe.model_dump(mode="json"), "networks": weights})
    if reference_record(run).get("digest") == digest and (run / REFERENCE).exists():
        return
    built = build_reference(recipe, trained, splits, data, reporter)
    reference_file.save(run / REFERENCE, built.reference)
    record = {"digest": digest, "figures": built.figures}
    (run / REFERENCE_RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def reference_record(run: Path) -> dict[str, Any]:
    """`digest` and `figures` (by latent space: used latents, both forests' fidelity); empty where there are none."""
    try:
        record: dict[str, Any] = json.loads((run / REFERENCE_RECORD).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return record


def _train_classifier(session: _Session, name: str, recipe: ClassifierRecipe) -> None:
    table = recipe.table(session.recipe.data.kind)
    digest = _digest(session, name, recipe, table)
    if session.finished(name, digest):
        return
    with deterministic(_seed(session.recipe, name), session.recipe.threads):
        network, began = build(table.layers), time.monotonic()
        result = _fit(session, name, network, CrossEntropy(), recipe)
        folded, folded_table = fold_classifier(network, table)
        quality = {"test_accuracy": test_accuracy(folded, session.splits)}
    _save(session, name, folded, folded_table, digest, result, quality, began)


def _train_space(session: _Session, name: str, recipe: SpaceRecipe) -> None:
    table = recipe.table(session.recipe.data.kind)
    digest = _digest(session, name, recipe, table)
    if session.finished(name, digest):
        return
    objective = space_objective(recipe, len(session.splits.train))
    with deterministic(_seed(session.recipe, name), session.recipe.threads):
        network = Vae(build_encoder(table.trunk, table.features, table.latents), build(table.decoder))
        began = time.monotonic()
        result = _fit(session, name, network, objective, recipe)
        folded, folded_table = fold_autoencoder(network, table)
        quality = {"test_agreement": reconstruction_agreement(load_classifier(session.run), folded, session.splits)}
    _save(session, name, folded, folded_table, digest, result, quality, began)


def _fit(session: _Session, name: str, network: nn.Module, objective: Objective[Any], recipe: FitRecipe) -> FitResult:
    train_set, reporter = session.splits.train, session.reporter
    reporter.start(name, recipe.epochs * (len(train_set) // recipe.batch_size))
    return fit(network, objective, train_set, session.splits.validation, recipe, reporter)


def _save(
    session: _Session,
    name: str,
    network: nn.Sequential | SpaceNetworks,
    table: ClassifierTable | AutoencoderTable,
    digest: str,
    result: FitResult,
    quality: dict[str, float],
    began: float,
) -> None:
    shown = {**quality, "epochs": len(result.validation), "best_epoch": result.best_epoch}
    record = NetworkRecord(digest=digest, table=table_json(table), figures=shown, validation=result.validation)
    save_network(session.run, name, network, record)
    session.reporter.note(f"finished in {time.monotonic() - began:.0f} s, {figures(shown)}")


@torch.no_grad()
def test_accuracy(classifier: nn.Module, splits: Splits) -> float:
    """Share of the test set (calibration and evaluation images) that is classified right."""
    right = [
        (classifier(images).argmax(dim=1) == labels)
        for part in (splits.calibration, splits.evaluation)
        for images, labels in batches_of(part)
    ]
    return float(torch.cat(right).double().mean())


@torch.no_grad()
def reconstruction_agreement(classifier: nn.Module, space: SpaceNetworks, splits: Splits) -> float:
    """Share of the test set that the classifier classes alike before and after reconstruction from μ(x)."""
    alike = [
        classifier(images).argmax(dim=1) == classifier(space.decoder(space.encoder(images)[0])).argmax(dim=1)
        for part in (splits.calibration, splits.evaluation)
        for images, _ in batches_of(part)
    ]
    return float(torch.cat(alike).double().mean())


def _seed(recipe: Recipe, name: str) -> int:
    """Each network its own seed, so that changing one section leaves the other networks' weights as they are."""
    return int(digest_of([recipe.seed, name])[:8], 16)


def _digest(session: _Session, name: str, recipe: FitRecipe, table: ClassifierTable | AutoencoderTable) -> str:
    """Everything that decides the weights on one machine, and nothing else: roles may change without a new fit."""
    return digest_of(
        {
            "name": name,
            "seed": session.recipe.seed,
            "threads": session.recipe.threads,
            "images": session.data_digest,
            "fit": recipe.model_dump(mode="json", exclude={"roles", "likelihood_weight"}),
            "table": table_json(table),
        }
    )


def _digest_of_images(images: ImageSet) -> str:
    digest = hashlib.sha256(images.images.tobytes())
    digest.update(images.labels.tobytes())
    return digest.hexdigest()
