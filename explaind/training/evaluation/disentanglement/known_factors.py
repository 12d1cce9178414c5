"""The true factors of a bundle's evaluation images, where its data set has them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from explaind.errors import DataSetInvalid
from explaind.training.data_recipe import DataRecipe
from explaind.training.datasets.image_set import ImageSet, divide
from explaind.training.datasets.sprites import FACTORS, factors_of_test_set, mixed
from explaind.training.evaluation.disentanglement.information import Factors

KNOWN = {"dsprites": FACTORS}
"""Data sets whose images' factors are known, and those factors' names."""


def factor_names(data_set: str) -> tuple[str, ...]:
    """Raises DataSetInvalid for a set whose factors nobody knows."""
    if data_set not in KNOWN:
        raise DataSetInvalid(f"The factors of {data_set} are not known; choose among {', '.join(KNOWN)}.")
    return KNOWN[data_set]


def evaluation_factors(recipe: DataRecipe, data: Path) -> Factors:
    """(N, K): row by row those of `load_splits(recipe, data).evaluation`.

    Raises DataSetInvalid as `factor_names`, or where the file is missing or damaged.
    """
    factor_names(recipe.set)
    factors = factors_of_test_set(data, recipe.sample, recipe.split_seed)
    places = ImageSet(np.zeros((len(factors), 0), np.uint8), np.arange(len(factors)))
    evaluation, _ = divide(places, recipe.calibration, recipe.split_seed + 1, recipe.set)
    chosen: Factors = factors[evaluation.labels[mixed(len(evaluation), recipe.split_seed)]]
    return chosen
