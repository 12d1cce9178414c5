"""A data set by its name: training and test set, or the four parts that a bundle is built from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from explaind.errors import DataSetInvalid
from explaind.training.data_recipe import DataRecipe
from explaind.training.data_sets import DATA_SETS, FOLDER
from explaind.training.datasets.faces import faces_parts
from explaind.training.datasets.folder import folder_parts
from explaind.training.datasets.image_set import ImageSet, Splits, divide
from explaind.training.datasets.letters import letters_parts
from explaind.training.datasets.pedestrians import pedestrians_parts
from explaind.training.datasets.planted import QUESTIONS, planted_parts
from explaind.training.datasets.sprites import mixed, sprites_parts
from explaind.training.datasets.standard import STANDARD, load_standard


def load_splits(recipe: DataRecipe, folder: Path, *, download: bool = False) -> Splits:
    """The recipe's data set in its four parts; all divisions are random and seeded.

    Raises DataSetInvalid where the set is missing, damaged or smaller than the recipe asks.
    """
    if recipe.set == FOLDER:
        train, test = folder_parts(recipe)
    else:
        train, test = load_images(
            recipe.set, folder, download=download, sample=recipe.sample, split_seed=recipe.split_seed
        )
    fitting, validation = divide(train, recipe.validation, recipe.split_seed, recipe.set)
    evaluation, calibration = divide(test, recipe.calibration, recipe.split_seed + 1, recipe.set)
    if recipe.set == "dsprites":
        evaluation = evaluation.take(mixed(len(evaluation), recipe.split_seed))
    return Splits(_some(fitting, recipe), validation, calibration, evaluation)


def _some(images: ImageSet, recipe: DataRecipe) -> ImageSet:
    if recipe.images is None or recipe.images >= len(images):
        return images
    order = np.random.default_rng(recipe.split_seed).permutation(len(images))
    return images.take(np.sort(order[: recipe.images]))


def load_images(
    name: str, folder: Path, *, download: bool = False, sample: int | None = None, split_seed: int = 1
) -> tuple[ImageSet, ImageSet]:
    """Training and test set of any of DATA_SETS, from its archive in `folder`.

    download: fetch MNIST, FashionMNIST or CIFAR-10 through torchvision where there is no archive. sample: how many
    of dSprites, or of planted scenes. split_seed: divides the sets that have no test set of their own.
    """
    train, test = _load(name, folder, download, sample, split_seed)
    for images in (train, test):
        _require_known_classes(name, images)
    return train, test


def _load(name: str, folder: Path, download: bool, sample: int | None, split_seed: int) -> tuple[ImageSet, ImageSet]:
    if name in STANDARD:
        return load_standard(name, folder, download=download)
    if name == "letters":
        return letters_parts(folder, split_seed)
    if name == "dsprites":
        return sprites_parts(folder, sample, split_seed)
    if name in QUESTIONS:
        return planted_parts(name, sample, split_seed)
    if name == "pedestrians":
        return pedestrians_parts(folder, split_seed)
    return faces_parts(name, folder, split_seed)


def _require_known_classes(name: str, images: ImageSet) -> None:
    classes = len(DATA_SETS[name].class_names)
    lowest, highest = images.labels.min(), images.labels.max()
    if classes and not 0 <= lowest <= highest < classes:
        raise DataSetInvalid(
            f"The data set {name} has labels {lowest} to {highest}, not 0 to {classes - 1}; replace its file."
        )
