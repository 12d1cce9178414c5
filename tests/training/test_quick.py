"""`explaind train --quick` and every recipe that is shipped, on small archives in the real ones' formats."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from explaind.backends.torch_networks import build as build_network
from explaind.backends.torch_networks import build_encoder
from explaind.bundles import bundle as bundles
from explaind.errors import RecipeInvalid
from explaind.training.architectures import AutoencoderTable
from explaind.training.build import build
from explaind.training.label_check import require_labels_fit
from explaind.training.quick import LEAST_HELD_OUT, LEAST_IMAGES, quick_variant
from explaind.training.recipe import ClassifierRecipe, Recipe, load_recipe
from explaind.training.train import load_trained, train
from tests.training.small_archives import small_archives

STORE = Path(__file__).parents[2] / "model_store"
RECIPES = sorted(path.parent.name for path in STORE.glob("*/recipe.toml"))


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_archives(tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="module", autouse=True)
def few_images() -> None:
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipes_networks_take_its_images(name: str) -> None:
    recipe = load_recipe(STORE / name)
    kind = recipe.data.kind
    images = torch.rand(2, *kind.image_shape)
    for classifier in (recipe.classifier, recipe.judge):
        if isinstance(classifier, ClassifierRecipe):
            network = build_network(classifier.table(kind).layers).eval()
            assert network(images).shape == (2, len(kind.class_names))
    for space in recipe.spaces.values():
        _require_that_it_rebuilds(space.table(kind), images)


@torch.no_grad()
def _require_that_it_rebuilds(table: AutoencoderTable, images: torch.Tensor) -> None:
    encoder = build_encoder(table.trunk, table.features, table.latents).eval()
    mean, deviation = encoder(images)
    assert mean.shape == deviation.shape == (2, table.latents)
    rebuilt = build_network(table.decoder).eval()(mean)
    assert rebuilt.shape == images.shape
    assert 0 <= float(rebuilt.min()) <= float(rebuilt.max()) <= 1


def _tiny(name: str, folder: Path) -> Path:
    """The shipped recipe with as few images held out as a small archive allows.

    In float32: a processor without bfloat16 has to emulate it; `test_resume` fits in both.
    """
    text = (STORE / name / "recipe.toml").read_text(encoding="utf-8").replace('"bfloat16"', '"float32"')
    recipe = load_recipe(STORE / name)
    for key in ("validation", "calibration"):
        text = text.replace(f"{key} = {getattr(recipe.data, key)} ", f"{key} = 16 ")
    text = text.replace(f"sample = {recipe.data.sample} ", "sample = 400 ")
    bundle = folder / name
    bundle.mkdir()
    (bundle / "recipe.toml").write_text(text, encoding="utf-8")
    return bundle


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", [name for name in RECIPES if not name.startswith("planted")])
def test_a_quick_variant_of_every_recipe_trains(name: str, archives: Path, tmp_path: Path) -> None:
    """Each data set's loader, each recipe's networks and objectives, and the statistics of all its spaces."""
    run = train(_tiny(name, tmp_path), data=archives, runs=tmp_path / "runs", quick=True)
    assert run.name == f"{name}-quick"
    trained = load_trained(run)
    recipe = load_recipe(STORE / name)
    assert set(trained.spaces) == set(recipe.spaces)
    assert (trained.judge is not None) is (recipe.judge is not None)
    assert all(np.isfinite(record.validation).all() for record in trained.records.values())
    assert (run / "reference.npz").exists()
    assert not list(run.glob("*.checkpoint"))


@pytest.mark.timeout(1200)
def test_a_quick_bundle_has_a_place_of_its_own(archives: Path, tmp_path: Path) -> None:
    """RGB images, whole: trained, exported, through the parity gate, and not where the full bundle would be."""
    bundle = _tiny("cifar10", tmp_path)
    folder = build(bundle, data=archives, runs=tmp_path / "runs", quick=True)
    assert folder == tmp_path / "runs" / "quick-store" / "cifar10" / "1"
    assert [path.name for path in bundle.iterdir()] == ["recipe.toml"]
    loaded = bundles.load(folder)
    assert loaded.manifest.recipe_digest == quick_variant(load_recipe(bundle)).digest()
    assert loaded.manifest.recipe_digest != load_recipe(bundle).digest()


def test_a_quick_variant_is_a_tenth_and_nothing_else_changes() -> None:
    recipe = load_recipe(STORE / "mnist")
    quick = quick_variant(recipe)
    assert (quick.data.validation, quick.data.calibration, quick.data.images) == (500, 500, 5500)
    assert isinstance(quick.classifier, ClassifierRecipe)
    assert (quick.classifier.epochs, quick.spaces["morphing"].epochs) == (2, 4)
    assert (quick.spaces["ranking"].epochs, quick.spaces["ranking"].capacity_epochs) == (3, 1)
    assert quick.reference.sobol_samples == 16
    same = {"data": recipe.data, "classifier": recipe.classifier, "judge": recipe.judge, "spaces": recipe.spaces,
            "reference": recipe.reference, "anomaly": recipe.anomaly}  # fmt: skip
    assert quick.model_copy(update=same) == recipe
    assert quick.spaces["ranking"].model_copy(update={"epochs": 24, "capacity_epochs": 10}) == recipe.spaces["ranking"]


def test_a_small_recipe_is_not_made_smaller_than_is_any_use(recipe: Recipe) -> None:
    quick = quick_variant(recipe)
    assert quick.data.validation == LEAST_HELD_OUT
    assert quick.reference.images == recipe.reference.images == 300
    assert quick.spaces["morphing"].epochs == 1


def test_a_quick_variant_labels_no_more_images_than_it_is_sure_to_have() -> None:
    recipe = load_recipe(STORE / "planted_x")
    labels = {"supervised_images": 2000, "supervision_weight": 1.0}
    ranking = recipe.spaces["ranking"].model_copy(update=labels)
    quick = quick_variant(recipe.model_copy(update={"spaces": {"ranking": ranking}}))
    assert quick.spaces["ranking"].supervised_images == LEAST_IMAGES <= (quick.data.images or 0)


def test_fewer_images_are_the_same_ones_each_time(data: Path, recipe: Recipe) -> None:
    from explaind.training.datasets import load_splits

    fewer = recipe.data.model_copy(update={"images": 40})
    first, second = (load_splits(fewer, data) for _ in range(2))
    assert len(first.train) == 40
    assert np.array_equal(first.train.images, second.train.images)
    assert np.array_equal(first.validation.images, load_splits(recipe.data, data).validation.images)


LABELS = """
[ranking]
encoder = "an encoder's digest"

[[ranking.factors]]
dimensions = [3, 12]
label = "slant"
confidence = "high"
"""


@pytest.mark.parametrize(
    ("text", "problem", "line"),
    [
        (LABELS, "the space ranking has the latents 0 to 11, no 12", 6),
        (LABELS.replace("ranking", "sorting"), "no latent space sorting, but morphing, ranking", 2),
    ],
)
def test_labels_of_latents_that_are_not_are_named_before_training(
    tmp_path: Path, recipe: Recipe, text: str, problem: str, line: int
) -> None:
    (tmp_path / "labels.toml").write_text(text, encoding="utf-8")
    with pytest.raises(RecipeInvalid, match=problem) as caught:
        require_labels_fit(tmp_path, recipe)
    assert caught.value.metadata["line"] == str(line)
    assert f"line {line}" in caught.value.message


def test_labels_that_fit_and_none_at_all_pass(tmp_path: Path, recipe: Recipe) -> None:
    require_labels_fit(tmp_path, recipe)
    (tmp_path / "labels.toml").write_text(LABELS.replace("12", "11"), encoding="utf-8")
    require_labels_fit(tmp_path, recipe)
