"""`explaind train`, whole, on small synthetic images: recipe → bundle, twice the same."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from explaind.backends import onnx, probe
from explaind.bundles import bundle as bundles
from explaind.errors import ConfigurationError, ExplaindError, RecipeInvalid
from explaind.training.build import build
from explaind.training.recipe import load_recipe

RECIPE = """
name = "bars"
version = "3"
seed = 5
threads = 1

[data]
set = "mnist"
validation = 100
calibration = 100

[classifier]
architecture = "pm_mnist_classifier"
epochs = 1
batch_size = 50

[spaces.codes]
architecture = "small_mnist_vae"
roles = ["morphing", "ranking"]
epochs = 1
batch_size = 50

[reference]
images = 200
forest_images = 200
sobol_samples = 16
forest_trees = [3]
served_trees = 3
served_leaves = 8
samples_per_image = 2
minimum_kl = 0.0
minimum_visible_effect = 0.0
"""


def _build(folder: Path, data: Path) -> Path:
    recipe = folder / "bars" / "recipe.toml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(RECIPE)
    return build(recipe.parent, data=data, runs=folder / "runs")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    return _build(tmp_path_factory.mktemp("built"), data)


def test_a_bundle_built_elsewhere_has_its_recipe_and_labels_beside_it(built: Path, data: Path, tmp_path: Path) -> None:
    """Nothing is trained again; labels that somebody wrote there stay."""
    labels = built.parent / "labels.toml"
    labels.write_text("", encoding="utf-8")
    try:
        folder = build(built.parent, data=data, runs=built.parents[1] / "runs", output=tmp_path / "bars")
    finally:
        labels.unlink()
    assert folder == tmp_path / "bars" / built.name
    assert {path.name for path in folder.parent.iterdir()} == {built.name, "recipe.toml", "labels.toml"}
    assert load_recipe(folder.parent).digest() == bundles.load(folder).manifest.recipe_digest


def test_a_recipe_becomes_a_bundle_that_verifies_and_serves(built: Path) -> None:
    assert built.parts[-2:] == ("bars", "3")
    loaded = bundles.load(built)
    assert loaded.manifest.explanations == ("prediction", "latent_ranking", "anomaly_score", "path_mask")
    assert loaded.manifest.recipe_digest == load_recipe(built.parent).digest()
    assert loaded.manifest.calibration_size == 100
    models = onnx.open_bundle(built, threads=1, device="cpu")
    probe.verify_probe(models, built)
    assert models.classifier.logits(np.zeros((1, 1, 28, 28), np.float32)).shape == (1, 10)
    assert models.morph_gradients.keys() == models.autoencoders.keys() == {"codes"}


def test_the_same_recipe_gives_the_same_digest(built: Path, data: Path, tmp_path: Path) -> None:
    again = _build(tmp_path, data)
    assert bundles.load(again).digest == bundles.load(built).digest


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("[spaces.codes]", "[spaces.codes]\nlearning_rate = 1.0\nbeta = 1e300"), "line .*diverged"),
        (("[spaces.codes]", "[spaces.codes]\nlatent = 4"), "spaces.codes.latent"),
        (("calibration = 100", "calibration = 100000"), "mnist"),
    ],
    ids=["diverging", "unknown key", "too few images"],
)
def test_what_fails_leaves_the_built_version_as_it_was(
    built: Path, data: Path, tmp_path: Path, change: tuple[str, str], problem: str
) -> None:
    store = tmp_path / "bars"
    shutil.copytree(built.parent, store)
    (store / "recipe.toml").write_text(RECIPE.replace(*change))
    before = _contents(store)
    with pytest.raises(ExplaindError, match=problem):
        build(store, data=data, runs=tmp_path / "runs")
    assert _contents(store) == before
    assert sorted(path.name for path in store.iterdir()) == sorted(path.name for path in built.parent.iterdir())


def test_a_folder_without_a_recipe_is_named(tmp_path: Path, data: Path) -> None:
    with pytest.raises(RecipeInvalid, match=r"recipe\.toml"):
        build(tmp_path, data=data, runs=tmp_path / "runs")


def test_a_model_store_that_cannot_be_written_is_said_before_the_training(tmp_path: Path, data: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    # mkdtemp's name beside the version would be longer than a file's name may be, for root as for anybody.
    recipe.write_text(RECIPE.replace('version = "3"', f'version = "{"3" * 250}"'))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        build(tmp_path, data=data, runs=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()
