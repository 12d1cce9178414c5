"""`explaind train BUNDLE`, whole: recipe → networks and statistics (`train`) → the bundle folder (`export`)."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from explaind.bundles import reference
from explaind.bundles.labels import FILE_NAME as LABELS
from explaind.explanations.models import FloatArray
from explaind.training.datasets import ByteArray, as_floats, load_splits
from explaind.training.export import BundleDescription, export_bundle
from explaind.training.folder_swap import require_writable
from explaind.training.label_check import require_labels_fit
from explaind.training.program_recipe import ProgramRecipe
from explaind.training.quick import quick_variant
from explaind.training.recipe import FILE_NAME as RECIPE
from explaind.training.recipe import Recipe, load_recipe
from explaind.training.train import REFERENCE, load_trained, train

PARITY_IMAGES = 500
PROGRAM_PARITY_IMAGES = 24
"""A classifier trained elsewhere may be hundreds of times larger than ours."""
QUICK_STORE = "quick-store"


def build(
    bundle: Path,
    *,
    data: Path = Path("data"),
    runs: Path = Path("training_runs"),
    fresh: bool = False,
    download: bool = False,
    quick: bool = False,
    output: Path | None = None,
) -> Path:
    """Builds `<bundle>/<version>` from `<bundle>/recipe.toml` and returns it; what is trained is not trained again.

    The same recipe and images give the same bytes on one machine. For data, runs, fresh, download, quick see `train`.
    output: the folder that gets `<version>`, and unless it is quick the recipe and the labels; unset: the recipe's own
    or, of a quick variant, `<runs>/quick-store/<name>`, so that it never takes a full bundle's place.
    Raises RecipeInvalid, DataSetInvalid, ParityFailed, or ConfigurationError where a folder cannot be written.
    """
    recipe = load_recipe(bundle)
    home = bundle if bundle.is_dir() else bundle.parent
    require_labels_fit(home, recipe)
    folder = (output or (runs / QUICK_STORE / recipe.name if quick else home)) / recipe.version
    require_writable(folder)  # said now, not after the training
    run = train(bundle, data=data, runs=runs, fresh=fresh, download=download, quick=quick)
    recipe = quick_variant(recipe) if quick else recipe
    splits = load_splits(recipe.data, data, download=download)
    export_bundle(
        load_trained(run, recipe.spaces),
        folder,
        description=describe(recipe),
        held_out=_compared(recipe, splits.evaluation.images),
        statistics=reference.load(run / REFERENCE),
    )
    if output is not None and not quick:
        _copy_beside(bundle if bundle.is_file() else bundle / RECIPE, output)
    return folder


def _copy_beside(recipe: Path, output: Path) -> None:
    """What a model's folder has beside its versions: the recipe, to evaluate by, and the latents' labels, unless
    somebody has written others there."""
    if recipe.parent.resolve() == output.resolve():
        return
    shutil.copyfile(recipe, output / RECIPE)
    labels = recipe.parent / LABELS
    if labels.exists() and not (output / LABELS).exists():
        shutil.copyfile(labels, output / LABELS)


def _compared(recipe: Recipe, images: ByteArray) -> FloatArray:
    """The parity gate's images. Those of a program are dithered by a grey level: in a flat area every overlapping
    maximum is a tie, and where it sends its gradient is anybody's choice (0.02 apart were seen)."""
    if not isinstance(recipe.classifier, ProgramRecipe):
        return as_floats(images[:PARITY_IMAGES])
    step = max(1, len(images) // PROGRAM_PARITY_IMAGES)  # a folder's images come class by class
    exact = as_floats(images[::step][:PROGRAM_PARITY_IMAGES])
    dither = np.random.default_rng(recipe.seed).random(exact.shape, dtype=np.float32)
    return (exact * 254 + dither) / np.float32(255)


def describe(recipe: Recipe) -> BundleDescription:
    """What the bundle says of itself, all from the recipe."""
    spaces = ", ".join(f"{name} ({space.architecture})" for name, space in recipe.spaces.items())
    return BundleDescription(
        name=recipe.name,
        version=recipe.version,
        description=f"{recipe.data.set}: classifier {recipe.classifier.architecture}; latent spaces {spaces or 'none'}",
        class_names=recipe.data.kind.class_names,
        roles={name: space.roles for name, space in recipe.spaces.items()},
        recipe_digest=recipe.digest(),
        calibration_size=recipe.data.calibration if recipe.space_with_role("morphing") else 0,
    )
