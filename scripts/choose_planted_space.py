"""Which objective separates the planted factors: what was tried for planted_shape's ranking space.

    python scripts/choose_planted_space.py

Fits that recipe's ranking VAE once with each objective below and prints what each latent tells of the five factors, on
training scenes alone: those that the bundle is evaluated on have no part in the choice. What matters to a ranking is
that one latent tells of the factor asked about, and that no other does. Two to five minutes of one processor each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from explaind.backends.torch_networks import build, build_encoder
from explaind.cli.tables import print_table
from explaind.explanations import traversal
from explaind.training.adapters import TrainedAutoencoder
from explaind.training.datasets import Splits, as_floats, load_splits
from explaind.training.datasets.planted import FACTORS, TEST_SHARE, draw_scenes, render
from explaind.training.evaluation.disentanglement.information import entropies, gaps
from explaind.training.evaluation.truth.factor_latents import binned, factor_latents
from explaind.training.fit import deterministic, fit
from explaind.training.objectives import Vae, space_objective
from explaind.training.progress import reporting
from explaind.training.recipe import Recipe, SpaceRecipe, load_recipe
from explaind.training.train import network_seed
from explaind.training.trained import fold_autoencoder

_LARGE = {"batch_size": 128, "learning_rate": 2e-3, "epochs": 60, "patience": 60}
_SMALL = {"batch_size": 32, "learning_rate": 1e-3, "epochs": 40, "patience": 40}
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
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", type=Path, default=Path("model_store/planted_shape"))
    parser.add_argument("--candidates", nargs="+", choices=list(CANDIDATES), default=list(CANDIDATES))
    arguments = parser.parse_args()
    recipe = load_recipe(arguments.recipe)
    splits = load_splits(recipe.data, Path())
    rows = []
    for name in arguments.candidates:
        space = _space(recipe, name)
        rows.append((name, *_measured(recipe, _trained(recipe, space, name, splits))))
        print_table("Best so far, on training scenes", ("objective", "used", "mean gap", *FACTORS), rows)


def _space(recipe: Recipe, name: str) -> SpaceRecipe:
    """The recipe's ranking space but for the objective, its weights and the steps."""
    served = recipe.spaces[recipe.space_with_role("ranking") or ""].model_dump()
    return SpaceRecipe.model_validate({**served, "capacity": None, **CANDIDATES[name]})


def _trained(recipe: Recipe, space: SpaceRecipe, name: str, splits: Splits) -> TrainedAutoencoder:
    table = space.table(recipe.data.kind)
    with deterministic(network_seed(recipe, "ranking"), recipe.threads), reporting(sys.stderr) as reporter:
        network = Vae(build_encoder(table.trunk, table.features, table.latents), build(table.decoder))
        reporter.start(name, space.epochs * (len(splits.train) // space.batch_size))
        objective = space_objective(space, len(splits.train))
        fit(network, objective, splits.train, splits.validation, space, reporter)
    return TrainedAutoencoder(fold_autoencoder(network, table)[0])


def _measured(recipe: Recipe, autoencoder: TrainedAutoencoder) -> tuple[str, ...]:
    """Used latents, the mean mutual information gap, and of each factor: its gap, and of what its best latent tells the
    share that is about it."""
    sample = recipe.data.sample or 0
    scenes = draw_scenes(sample - round(TEST_SHARE * sample), (recipe.data.split_seed, 0))  # the training set's
    mean, deviation = autoencoder.encode(as_floats(render(scenes)))
    used = traversal.mean_kl(mean, deviation) >= recipe.reference.minimum_kl
    table = factor_latents(mean, scenes.factors(), used)
    held = [(f"z{d}", *(f"{value:.2f}" for value in table.information[d])) for d in np.flatnonzero(used)]
    print_table("Mutual information of latent and factor, nats", ("latent", *FACTORS), held)
    gap = gaps(table.information, entropies(np.stack([binned(column) for column in scenes.factors().T], axis=1)))
    shares = [f"{gap[place]:.2f} / {table.purity(place):.0%}" for place in range(len(FACTORS))]
    return (str(int(used.sum())), f"{gap.mean():.3f}", *shares)


if __name__ == "__main__":
    main()
