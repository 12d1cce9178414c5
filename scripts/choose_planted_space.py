"""Which objective separates the planted factors: what was tried for planted_shape's ranking space.

    python scripts/choose_planted_space.py

Fits that recipe's ranking VAE once with each objective below and prints what each latent tells of the five factors, and
in how many scenes each method ranks the right one first, on training scenes alone: those that the bundle is evaluated
on have no part in the choice, and those whose factors supervise a space are not among the ranked. What matters to a
ranking is that one latent tells of the factor asked about, and that no other does. Three to six minutes of one
processor each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from torch import nn

from explaind.backends.torch_networks import build, build_encoder
from explaind.cli.tables import print_table
from explaind.explanations import latent_ranking, traversal
from explaind.explanations.models import RankingModels
from explaind.explanations.prediction import predict
from explaind.explanations.types import LatentRankingParameters, RankingMethod
from explaind.training.adapters import TrainedAutoencoder, TrainedClassifier
from explaind.training.datasets import Splits, as_floats, load_splits
from explaind.training.datasets.planted import FACTORS, QUESTIONS, TEST_SHARE, Scenes, draw_scenes, render
from explaind.training.evaluation.disentanglement.information import entropies, gaps
from explaind.training.evaluation.truth.factor_latents import binned, factor_latents
from explaind.training.fit import deterministic, fit
from explaind.training.objectives import CrossEntropy, Vae
from explaind.training.progress import reporting
from explaind.training.recipe import ClassifierRecipe, Recipe, SpaceRecipe, load_recipe
from explaind.training.reference import build_reference
from explaind.training.supervision import objective_of
from explaind.training.train import network_seed
from explaind.training.trained import CLASSIFIER, SpaceNetworks, Trained, fold_autoencoder

_LARGE = {"batch_size": 128, "learning_rate": 2e-3, "epochs": 60, "patience": 60}
_SMALL = {"batch_size": 32, "learning_rate": 1e-3, "epochs": 40, "patience": 40}
_LABELLED = {"objective": None, "beta": 4.0, **_LARGE, "epochs": 80, "patience": 80}
CANDIDATES: Mapping[str, Mapping[str, object]] = {
    "served": {},
    "beta 4": {"objective": "beta", "beta": 4.0, **_LARGE},
    "beta_tc 4": {"objective": "beta_tc", "beta": 4.0, **_LARGE},
    "beta_tc 8": {"objective": "beta_tc", "beta": 8.0, **_LARGE},
    "beta 3, more steps": {"objective": "beta", "beta": 3.0, **_SMALL},
    "capacity 12": {"objective": "capacity", "beta": 100.0, "capacity": 12.0, "capacity_epochs": 45, **_LARGE},
    "capacity 15": {"objective": "capacity", "beta": 100.0, "capacity": 15.0, "capacity_epochs": 45, **_LARGE},
    "capacity 13, more steps": {
        "objective": "capacity", "beta": 100.0, "capacity": 13.0, "capacity_epochs": 32, **_SMALL,
    },
    **{
        f"{images} labelled, weight {weight:g}, {latents} latents":
            {**_LABELLED, "supervised_images": images, "supervision_weight": weight, "latents": latents}
        for images in (25, 50, 100) for weight in (5.0, 20.0) for latents in (5, 8)
    },
}  # fmt: skip
RANKED = 150


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, default=Path("model_store/planted_shape"))
    parser.add_argument("--candidates", nargs="+", choices=list(CANDIDATES), default=list(CANDIDATES))
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    splits = load_splits(recipe.data, Path())
    classifier, rows, firsts = _classifier(recipe, splits), [], []
    for name in arguments.candidates:
        space = _space(recipe, name)
        networks = _trained(recipe, space, name, splits)
        rows.append((name, *_measured(recipe, TrainedAutoencoder(networks))))
        firsts.append((name, *_right_firsts(recipe, space, classifier, networks, splits)))
        print_table("Of training scenes: gap, share", ("objective", "used", "mean gap", *FACTORS), rows)
        print_table(f"Right first in {RANKED} training scenes", ("objective", *RankingMethod), firsts)


def _space(recipe: Recipe, name: str) -> SpaceRecipe:
    """The recipe's ranking space but for the objective, its weights and the steps."""
    served = recipe.spaces[recipe.space_with_role("ranking") or ""].model_dump()
    other = {**served, "capacity": None, "supervised_images": None, "supervision_weight": None}
    return SpaceRecipe.model_validate({**other, **CANDIDATES[name]} if CANDIDATES[name] else served)


def _classifier(recipe: Recipe, splits: Splits) -> nn.Module:
    """The bundle's own, to the bit."""
    assert isinstance(recipe.classifier, ClassifierRecipe)
    with deterministic(network_seed(recipe, CLASSIFIER), recipe.threads), reporting(sys.stderr) as reporter:
        network = build(recipe.classifier.table(recipe.data.kind).layers)
        reporter.start(CLASSIFIER, recipe.classifier.epochs * (len(splits.train) // recipe.classifier.batch_size))
        fit(network, CrossEntropy(), splits.train, splits.validation, recipe.classifier, reporter)
    return network


def _trained(recipe: Recipe, space: SpaceRecipe, name: str, splits: Splits) -> SpaceNetworks:
    table = space.table(recipe.data.kind)
    with deterministic(network_seed(recipe, "ranking"), recipe.threads), reporting(sys.stderr) as reporter:
        network = Vae(build_encoder(table.trunk, table.features, table.latents), build(table.decoder))
        reporter.start(name, space.epochs * (len(splits.train) // space.batch_size))
        fit(network, objective_of(space, splits.train), splits.train, splits.validation, space, reporter)
    return fold_autoencoder(network, table)[0]


def _measured(recipe: Recipe, autoencoder: TrainedAutoencoder) -> tuple[str, ...]:
    """Used latents, the mean mutual information gap, and of each factor: its gap, and of what its best latent tells the
    share that is about it."""
    scenes = _training_scenes(recipe)
    mean, deviation = autoencoder.encode(as_floats(render(scenes)))
    used = traversal.mean_kl(mean, deviation) >= recipe.reference.minimum_kl
    table = factor_latents(mean, scenes.factors(), used)
    held = [(f"z{d}", *(f"{value:.2f}" for value in table.information[d])) for d in np.flatnonzero(used)]
    print_table("Mutual information of latent and factor, nats", ("latent", *FACTORS), held)
    gap = gaps(table.information, entropies(np.stack([binned(column) for column in scenes.factors().T], axis=1)))
    shares = [f"{gap[place]:.2f} / {table.purity(place):.0%}" for place in range(len(FACTORS))]
    return (str(int(used.sum())), f"{gap.mean():.3f}", *shares)


def _right_firsts(
    recipe: Recipe, space: SpaceRecipe, classifier: nn.Module, networks: SpaceNetworks, splits: Splits
) -> tuple[str, ...]:
    """By method: share of the last training scenes, of which none is labelled, that have the right factor first."""
    alone = recipe.model_copy(update={"spaces": {"ranking": space}})
    tables = {CLASSIFIER: {"classes": len(recipe.data.kind.class_names)}}
    trained = Trained(classifier=classifier, spaces={"ranking": networks}, judge=None, tables=tables, records={})
    with reporting(sys.stderr) as reporter:
        reference = build_reference(alone, trained, splits, None, reporter).reference.rankings["ranking"]
    models = RankingModels(TrainedClassifier(classifier), TrainedAutoencoder(networks))
    scenes, cause = _training_scenes(recipe), QUESTIONS[recipe.data.set]
    images = as_floats(render(scenes))
    held = factor_latents(models.autoencoder.encode(images)[0], scenes.factors(), reference.used).factors(FACTORS)
    asked = images[-RANKED:]
    predictions = predict(models.classifier, asked)

    def right(method: RankingMethod) -> float:
        parameters = LatentRankingParameters(method=method)
        rankings = (
            latent_ranking.explain(models, reference, held, image, parameters, prediction=prediction)
            for image, prediction in zip(asked, predictions, strict=True)
        )
        return float(np.mean([ranking.latents[0].factor.label == cause for ranking in rankings]))

    return tuple(f"{right(method):.3f}" for method in RankingMethod)


def _training_scenes(recipe: Recipe) -> Scenes:
    sample = recipe.data.sample or 0
    return draw_scenes(sample - round(TEST_SHARE * sample), (recipe.data.split_seed, 0))


if __name__ == "__main__":
    main()
