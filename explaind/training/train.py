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
from explaind.errors import ConfigurationError, RecipeInvalid
from explaind.explanations.models import FloatArray
from explaind.training.architectures import AutoencoderTable, ClassifierTable
from explaind.training.checkpoints import CheckpointFile, checkpoint_file
from explaind.training.datasets import ImageSet, Splits, load_splits
from explaind.training.fit import Diverged, FitResult, batches_of, deterministic, fit
from explaind.training.folder_lock import locked
from explaind.training.foreign.adoption import adopt_program, program_table
from explaind.training.objectives import CrossEntropy, Objective, Vae
from explaind.training.program_recipe import ProgramRecipe
from explaind.training.progress import Reporter, figures, reporting
from explaind.training.quick import quick_variant
from explaind.training.recipe import FILE_NAME, ClassifierRecipe, FitRecipe, Recipe, SpaceRecipe, digest_of, load_recipe
from explaind.training.recipe_errors import line_of
from explaind.training.reference import build_reference, known_outliers
from explaind.training.supervision import objective_of
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
    save_record,
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
    source: Path | None

    def finished(self, name: str, digest: str) -> bool:
        """Whether its weights are there. What an unfinished fit has left behind is then of no more use."""
        checkpoint = checkpoint_file(self.run, name, digest)
        if self.fresh:
            checkpoint.remove()
            return False
        record = load_record(self.run, name)
        finished = record is not None and record.digest == digest
        if finished:
            checkpoint.remove()
        return finished


def train(
    recipe_path: Path,
    *,
    data: Path = Path("data"),
    runs: Path = Path("training_runs"),
    fresh: bool = False,
    download: bool = False,
    quick: bool = False,
) -> Path:
    """Fits all networks of the recipe, takes the reference statistics and returns the run folder `runs/<name>`.

    recipe_path: a recipe.toml or the bundle folder that has one. data: folder of the data sets. fresh: fit again
    what is finished. download: let torchvision fetch a data set that is not in `data`. quick: the recipe's small
    variant (`quick.quick_variant`), in `runs/<name>-quick`.
    The folder then loads with `load_trained` and `bundles.reference.load(run / "reference.npz")`. A run that was
    killed goes on, at its next call, after the last epoch that it finished.
    Raises RecipeInvalid, DataSetInvalid, or ConfigurationError where the run folder cannot be written or another
    process trains in it.
    """
    recipe = load_recipe(recipe_path)
    recipe = quick_variant(recipe) if quick else recipe
    splits = load_splits(recipe.data, data, download=download)
    outliers = known_outliers(recipe, data)  # needed last; that they are missing is said first
    run = run_folder(recipe, runs, quick=quick)
    try:
        run.mkdir(parents=True, exist_ok=True)
        with locked(run), reporting() as reporter:
            _clear_partial(run)
            trained = train_networks(recipe, splits, run, reporter, fresh=fresh, source=_file(recipe_path))
            _take_reference(recipe, trained, splits, outliers, run, reporter)
    except OSError as exc:
        raise ConfigurationError(
            f"The run folder {run} cannot be written ({exc.strerror}); free or change it, or name another."
        ) from exc
    return run


def run_folder(recipe: Recipe, runs: Path, *, quick: bool = False) -> Path:
    return runs / f"{recipe.name}{'-quick' if quick else ''}"


def _clear_partial(run: Path) -> None:
    """What a process that was killed while writing has left."""
    for partial in run.glob("*.partial"):
        partial.unlink()


def _file(recipe_path: Path) -> Path:
    return recipe_path / FILE_NAME if recipe_path.is_dir() else recipe_path


def train_networks(
    recipe: Recipe,
    splits: Splits,
    run: Path,
    reporter: Reporter,
    *,
    fresh: bool = False,
    source: Path | None = None,
) -> Trained:
    """Fits what is not yet finished: the classifier, the judge, then each space, each with its own seed.

    source: the recipe's file, to name lines of. Raises RecipeInvalid where a fit diverges.
    """
    run.mkdir(parents=True, exist_ok=True)
    session = _Session(recipe, splits, _digest_of_fit(splits), run, fresh, reporter, source)
    if isinstance(recipe.classifier, ProgramRecipe):
        _adopt_classifier(session, recipe.classifier)
    else:
        _train_classifier(session, CLASSIFIER, recipe.classifier)
    for name, space in recipe.spaces.items():
        _train_space(session, name, space)
    if recipe.judge is not None:
        _train_classifier(session, JUDGE, recipe.judge)
    return load_trained(run, recipe.spaces)


def _take_reference(
    recipe: Recipe, trained: Trained, splits: Splits, outliers: FloatArray | None, run: Path, reporter: Reporter
) -> None:
    """Skipped where the statistics in the folder are of these networks, this recipe and these images."""
    weights = {name: record.digest for name, record in trained.records.items()}
    digest = digest_of(
        {
            "recipe": recipe.model_dump(mode="json"),
            "networks": weights,
            "calibration": _digest_of_images(splits.calibration),
            "outliers": "" if outliers is None else hashlib.sha256(outliers.tobytes()).hexdigest(),
        }
    )
    if reference_record(run).get("digest") == digest and (run / REFERENCE).exists():
        return
    built = build_reference(recipe, trained, splits, outliers, reporter)
    record = {"digest": digest, "figures": built.figures}
    (run / REFERENCE_RECORD).unlink(missing_ok=True)  # a killed process leaves no record beside other statistics
    partial = run / "reference.partial"
    reference_file.save(partial, built.reference)
    partial.replace(run / REFERENCE)
    partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    partial.replace(run / REFERENCE_RECORD)


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
    with deterministic(network_seed(session.recipe, name), session.recipe.threads):
        network, began = build(table.layers), time.monotonic()
        result = _fit(session, name, network, CrossEntropy(), recipe, digest)
        folded, folded_table = fold_classifier(network, table)
        quality = {"test_accuracy": test_accuracy(folded, session.splits)}
    _save(session, name, folded, folded_table, digest, result, quality, began)


def _adopt_classifier(session: _Session, recipe: ProgramRecipe) -> None:
    """A classifier trained elsewhere: its program, from beside the recipe, and how it does on the images."""
    kind, began = session.recipe.data.kind, time.monotonic()
    table = program_table(recipe, kind)
    digest = digest_of({"table": table, "sha256": recipe.sha256, "images": session.data_digest})
    if session.finished(CLASSIFIER, digest):
        return
    if session.source is None:
        raise RecipeInvalid(f"The classifier {recipe.program} lies beside its recipe; train from a recipe's file.")
    session.reporter.start(CLASSIFIER, 0)
    network = adopt_program(session.source.parent, session.run, table, recipe.sha256)
    figures_of = {"test_accuracy": test_accuracy(network, session.splits)}
    save_record(session.run, CLASSIFIER, NetworkRecord(digest=digest, table=table, figures=figures_of, validation=()))
    session.reporter.note(f"{recipe.program} taken in {time.monotonic() - began:.0f} s, {figures(figures_of)}")


def _train_space(session: _Session, name: str, recipe: SpaceRecipe) -> None:
    table = recipe.table(session.recipe.data.kind)
    digest = _digest(session, name, recipe, table)
    if session.finished(name, digest):
        return
    objective = objective_of(recipe, session.splits.train)
    with deterministic(network_seed(session.recipe, name), session.recipe.threads):
        network = Vae(build_encoder(table.trunk, table.features, table.latents), build(table.decoder))
        began = time.monotonic()
        result = _fit(session, name, network, objective, recipe, digest)
        folded, folded_table = fold_autoencoder(network, table)
        quality = {"test_agreement": reconstruction_agreement(load_classifier(session.run), folded, session.splits)}
    _save(session, name, folded, folded_table, digest, result, quality, began)


def _fit(
    session: _Session, name: str, network: nn.Module, objective: Objective[Any], recipe: FitRecipe, digest: str
) -> FitResult:
    train_set, reporter = session.splits.train, session.reporter
    reporter.start(name, recipe.epochs * (len(train_set) // recipe.batch_size))
    checkpoint = checkpoint_file(session.run, name, digest)
    try:
        return fit(network, objective, train_set, session.splits.validation, recipe, reporter, checkpoint)
    except Diverged as exc:
        raise _diverged(session, name, checkpoint, exc) from exc


def _diverged(session: _Session, name: str, checkpoint: CheckpointFile, failure: Diverged) -> RecipeInvalid:
    """With the recipe's line to change and what is left of the fit."""
    section = [name] if name in (CLASSIFIER, JUDGE) else ["spaces", name]
    keys = [*section, "learning_rate"]
    key, where, line = ".".join(keys), "The recipe", None
    if session.source is not None:
        line = line_of(session.source.read_text(encoding="utf-8"), keys)
        where = f"{session.source}, line {line}" if line else str(session.source)
    kept = f" Its last good checkpoint, of epoch {int(failure.metadata['epoch']) - 1}, is kept in {checkpoint.path}."
    return RecipeInvalid(
        f"{where}: the fit of {name} diverged at {failure.place}: lower {key} and train again."
        f"{kept if checkpoint.path.exists() else ''}",
        metadata={**failure.metadata, "key": key, "line": str(line or "")},
    )


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
    checkpoint_file(session.run, name, digest).remove()
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


def network_seed(recipe: Recipe, name: str) -> int:
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
            "fit": recipe.model_dump(mode="json", exclude={"roles", "likelihood_weight", "sparsity"}),
            "table": table_json(table),
        }
    )


def _digest_of_fit(splits: Splits) -> str:
    """Of the images that decide a network's weights: to fit on, and to stop on."""
    return digest_of([_digest_of_images(splits.train), _digest_of_images(splits.validation)])


def _digest_of_images(images: ImageSet) -> str:
    digest = hashlib.sha256(images.images.tobytes())
    digest.update(images.labels.tobytes())
    return digest.hexdigest()
