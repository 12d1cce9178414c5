"""Trained networks + images → the bundle's reference statistics (DESIGN §3, `explanations.types.Reference`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explaind.explanations import bin_table, responses, sobol, traversal
from explaind.explanations.models import Autoencoder, RankingModels
from explaind.explanations.types import DoubleArray, FloatArray, MorphReference, RankingReference, Reference
from explaind.training.adapters import TrainedAutoencoder, TrainedClassifier
from explaind.training.anomaly_reference import fit_anomaly
from explaind.training.datasets import ImageSet, Splits, as_floats, load_images, load_letters, split_families
from explaind.training.fit import deterministic
from explaind.training.forest import ForestFit, fit_forest
from explaind.training.progress import Reporter, figures
from explaind.training.recipe import Recipe
from explaind.training.trained import CLASSIFIER, Trained


@dataclass(frozen=True, slots=True)
class ReferenceBuild:
    """figures: by latent space, what a report prints and a service does not need."""

    reference: Reference
    figures: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class _Images:
    """reference, labels: of the training set. held_out: the validation images."""

    reference: FloatArray
    labels: NDArray[np.int64]
    held_out: FloatArray
    calibration: FloatArray


def build_reference(
    recipe: Recipe, trained: Trained, splits: Splits, outliers: FloatArray | None, reporter: Reporter
) -> ReferenceBuild:
    """All statistics of a bundle; seeded, so the same networks and images give the same numbers.

    outliers: `known_outliers` of the recipe.
    """
    images = _images(recipe, splits)
    classifier = TrainedClassifier(trained.classifier)
    spaces = {name: TrainedAutoencoder(networks) for name, networks in trained.spaces.items()}
    home = recipe.space_with_role("morphing")
    with deterministic(recipe.seed, recipe.threads):
        rankings, notes = {}, {}
        for name, autoencoder in spaces.items():
            models = RankingModels(classifier, autoencoder)
            rankings[name], notes[name] = _ranking(recipe, name, models, images, reporter)
        if home is None:
            return ReferenceBuild(Reference(rankings=rankings, anomaly=None, morph=None), notes)
        reporter.start("anomaly", 0)
        classes = int(trained.tables[CLASSIFIER]["classes"])
        reference = Reference(
            rankings=rankings,
            anomaly=fit_anomaly(spaces[home], images.held_out, images.calibration, outliers),
            morph=MorphReference(
                class_norms=_class_norms(recipe, spaces[home], images, classes),
                likelihood_weight=recipe.spaces[home].likelihood_weight,
                sparsity=recipe.spaces[home].sparsity,
            ),
        )
    reporter.note("finished")
    return ReferenceBuild(reference, notes)


def known_outliers(recipe: Recipe, data: Path) -> FloatArray | None:
    """Images the supervised detector learns from, None where the recipe names none. Of letters, those of one half
    of the font families: `split_families` with the recipe's seed; the other half is for evaluation."""
    if not recipe.anomaly.outliers:
        return None
    share = recipe.anomaly.outlier_images // len(recipe.anomaly.outliers)
    generator = np.random.default_rng(recipe.seed)
    sets = (_outlier_set(recipe, name, data) for name in recipe.anomaly.outliers)
    chosen = [part.images[np.sort(generator.permutation(len(part))[:share])] for part in sets]
    return as_floats(np.concatenate(chosen))


def _outlier_set(recipe: Recipe, name: str, data: Path) -> ImageSet:
    if name == "letters":
        return split_families(load_letters(data), recipe.seed)[0]
    return load_images(name, data)[0]


def _images(recipe: Recipe, splits: Splits) -> _Images:
    order = np.random.default_rng(recipe.seed).permutation(len(splits.train))
    reference = splits.train.take(np.sort(order[: recipe.reference.images]))
    return _Images(
        as_floats(reference.images),
        reference.labels,
        as_floats(splits.validation.images),
        as_floats(splits.calibration.images),
    )


def _ranking(
    recipe: Recipe, space: str, models: RankingModels, images: _Images, reporter: Reporter
) -> tuple[RankingReference, dict[str, float]]:
    """One latent space's statistics; the forest only where the space has the ranking role, as it costs most."""
    reporter.start(f"{space} statistics", 0)
    mean, deviation = models.autoencoder.encode(images.reference)
    logits = models.classifier.logits(images.reference)
    forest = None
    if "ranking" in recipe.spaces[space].roles:
        held_out_mean, _ = models.autoencoder.encode(images.held_out)
        held_out = models.classifier.logits(images.held_out).argmax(axis=1)
        forest = fit_forest(
            mean, logits.argmax(axis=1), held_out_mean, held_out, logits.shape[1], recipe.reference, recipe.seed
        )
    reference = _tables(recipe, models, mean, deviation, logits, forest)
    notes = _notes(reference, forest)
    reporter.note(figures(notes))
    return reference, notes


def _tables(
    recipe: Recipe,
    models: RankingModels,
    mean: FloatArray,
    deviation: FloatArray,
    logits: FloatArray,
    forest: ForestFit | None,
) -> RankingReference:
    settings, latents = recipe.reference, mean.shape[1]
    kl, effect = traversal.mean_kl(mean, deviation), traversal.visible_effect(models.autoencoder, latents)
    bins = bin_table.build(mean, responses.probabilities(logits).astype(np.float32), logits)
    generated = traversal.global_responses(models, latents)
    effects = sobol.prior_total_effects(models, latents, seed=recipe.seed, base_samples=settings.sobol_samples)
    return RankingReference(
        used=traversal.used(kl, effect, minimum_kl=settings.minimum_kl, minimum_effect=settings.minimum_visible_effect),
        mean_kl=kl,
        visible_effect=effect,
        mean=mean.mean(axis=0, dtype=np.float64),
        deviation=mean.std(axis=0, dtype=np.float64),
        bin_counts=bins.counts,
        bin_probability=bins.probability,
        bin_logit=bins.log_odds,
        mean_probability=bins.mean_probability,
        mean_logit=bins.mean_log_odds,
        generated_probability=generated.probability,
        generated_logit=generated.log_odds,
        impurity=forest.impurity if forest else np.zeros(latents),
        permutation=forest.permutation if forest else np.zeros(latents),
        sobol_total=effects.indices,
        forest=forest.forest if forest else None,
        forest_fidelity=forest.fidelity if forest else 0.0,
    )


def _notes(reference: RankingReference, forest: ForestFit | None) -> dict[str, float]:
    notes = {"used_latents": float(reference.used.sum()), "kl": float(reference.mean_kl.sum())}
    if forest is None:
        return notes
    return notes | {
        "forest_fidelity": forest.fidelity,
        "unbounded_fidelity": forest.unbounded_fidelity,
        "unbounded_trees": float(forest.unbounded_trees),
    }


def _class_norms(recipe: Recipe, autoencoder: Autoencoder, images: _Images, classes: int) -> DoubleArray:
    """Mean ‖z‖ of codes sampled from N(μ(x), σ(x)), by true class (DESIGN §3.3): (K,). A class that the reference
    images lack has the mean of them all."""
    mean, deviation = autoencoder.encode(images.reference)
    generator = np.random.default_rng(recipe.seed)
    norms = np.zeros(len(mean))
    for _ in range(recipe.reference.samples_per_image):
        noise = generator.standard_normal(mean.shape, dtype=np.float32)
        norms += np.linalg.norm(mean + deviation * noise, axis=1)
    members = [images.labels == index for index in range(classes)]
    means = [norms[member].mean() if member.any() else norms.mean() for member in members]
    return np.array(means) / recipe.reference.samples_per_image
