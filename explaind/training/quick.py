"""`explaind train --quick`: the same recipe on a tenth of its images and epochs, to see that it runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypeVar

from explaind.training.program_recipe import ProgramRecipe
from explaind.training.recipe import ClassifierRecipe, Recipe, ReferenceRecipe, SpaceRecipe

SHARE = 0.1
LEAST_IMAGES = 300
LEAST_HELD_OUT = 50
SOBOL_SAMPLES = 16  # each is decoded once a latent: a tenth would still be most of the time

Fit = TypeVar("Fit", ClassifierRecipe, SpaceRecipe, ClassifierRecipe | ProgramRecipe)


def quick_variant(recipe: Recipe, share: float = SHARE) -> Recipe:
    """share: of epochs, of images to fit on, to hold out, to learn outliers from and to take statistics from, and
    of trees; rounded up, and no fewer images than LEAST_IMAGES to fit on, LEAST_HELD_OUT else, or what the
    recipe has where that is less.

    Supervised images are no more than the fewest that are fitted on.
    Networks, objectives, batches, seeds and thresholds are the recipe's. What comes out is no good for explaining.
    """

    def held_out(count: int) -> int:
        return _part(count, share, LEAST_HELD_OUT)

    data, anomaly = recipe.data, recipe.anomaly
    fewer = {
        "validation": held_out(data.validation),
        "calibration": held_out(data.calibration),
        "images": _part(data.images or recipe.reference.images, share, LEAST_IMAGES),
        "sample": data.sample and _part(data.sample, share, 10 * LEAST_IMAGES),
    }
    changed: Mapping[str, object] = {
        "data": data.model_copy(update=fewer),
        "classifier": _shorter(recipe.classifier, share),
        "judge": recipe.judge and _shorter(recipe.judge, share),
        "spaces": {name: _shorter(space, share) for name, space in recipe.spaces.items()},
        "reference": _less_reference(recipe.reference, share),
        "anomaly": anomaly.model_copy(update={"outlier_images": held_out(anomaly.outlier_images)}),
    }
    return recipe.model_copy(update=changed)


def _shorter(fit: Fit, share: float) -> Fit:
    """A classifier that was trained elsewhere has no epochs and stays as it is."""
    epochs = ("epochs", "capacity_epochs")
    update: dict[str, int] = {key: _part(getattr(fit, key), share, 1) for key in epochs if hasattr(fit, key)}
    if isinstance(fit, SpaceRecipe) and fit.supervised_images is not None:
        update["supervised_images"] = min(fit.supervised_images, LEAST_IMAGES)
    return fit.model_copy(update=update)


def _less_reference(reference: ReferenceRecipe, share: float) -> ReferenceRecipe:
    trees = _part(reference.served_trees, share, 2)
    return reference.model_copy(
        update={
            "images": _part(reference.images, share, LEAST_IMAGES),
            "forest_images": _part(reference.forest_images, share, LEAST_IMAGES),
            "sobol_samples": min(reference.sobol_samples, SOBOL_SAMPLES),
            "forest_trees": (trees,),
            "served_trees": trees,
        }
    )


def _part(count: int, share: float, least: int) -> int:
    return min(count, max(least, math.ceil(share * count)))
