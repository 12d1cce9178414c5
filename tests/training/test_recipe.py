from __future__ import annotations

import json
from pathlib import Path

import pytest

from explaind.errors import RecipeInvalid
from explaind.training.recipe import load_recipe

SHIPPED = Path(__file__).parents[2] / "model_store" / "mnist"


def _changed(folder: Path, old: str, new: str, shipped: Path = SHIPPED) -> Path:
    text = (shipped / "recipe.toml").read_text(encoding="utf-8")
    assert old in text
    path = folder / "recipe.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


def test_the_shipped_recipe_loads_from_its_folder() -> None:
    recipe = load_recipe(SHIPPED)
    assert recipe.space_with_role("morphing") == "morphing"
    assert recipe.space_with_role("ranking") == "ranking"
    assert recipe.data.validation == recipe.data.calibration == 5000


def test_comments_and_order_leave_the_digest_alone(tmp_path: Path) -> None:
    before = load_recipe(SHIPPED).digest()
    assert load_recipe(_changed(tmp_path, "[data]", "# a remark\n[data]")).digest() == before
    assert load_recipe(_changed(tmp_path, "threads = 2", "threads = 1")).digest() != before


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("[judge]", "[judge]\npatiense = 3", "judge.patiense"),
        ('architecture = "pm_mnist_vae"', 'architecture = "pm_vae"', "spaces.morphing.architecture"),
        ('set = "mnist"', 'set = "cifar100"', "data.set"),
        ('outliers = ["letters"]', 'outliers = ["noise"]', "anomaly.outliers"),
        ("threads = 2", "threads = 0", "threads"),
        ("learning_rate = 1e-3", 'learning_rate = "fast"', "classifier.learning_rate"),
        ("beta = 1.0", 'beta = 1.0\nobjective = "gan"', "spaces.morphing.objective"),
        ("beta = 1.0", 'beta = 1.0\nreconstruction = "psnr"', "spaces.morphing.reconstruction"),
        ("beta = 3.0", 'beta = 3.0\nobjective = "beta_tc"', "spaces.ranking.capacity"),
        ("beta = 1.0", 'beta = 2.0\nobjective = "vae"', "spaces.morphing.beta"),
        ("beta = 1.0", 'beta = 1.0\nobjective = "capacity"', "spaces.morphing.objective"),
        ("capacity_epochs = 10", "capacity_epochs = 100", "spaces.ranking.capacity_epochs"),
        ("beta = 1.0", "beta = 1.0\nsparsity = -1.0", "spaces.morphing.sparsity"),
        ("beta = 1.0", "beta = 1.0\nsparsity = nan", "spaces.morphing.sparsity"),
        ("beta = 1.0", "beta = 1.0\nlatents = 7", "spaces.morphing.architecture"),
        (
            "beta = 3.0",
            "beta = 3.0\nsupervised_images = 9\nsupervision_weight = 1.0",
            "spaces.ranking.supervised_images",
        ),
        ("beta = 3.0", "beta = 3.0\nsupervised_images = 9", "spaces.ranking.supervised_images"),
        ("beta = 3.0", "beta = 3.0\nsupervision_weight = 9.0", "spaces.ranking.supervision_weight"),
        (
            "beta = 3.0",
            "beta = 3.0\nsupervised_images = 1\nsupervision_weight = 1.0",
            "spaces.ranking.supervised_images",
        ),
        ('set = "mnist"', 'set = "nonfaces"', "data.set"),
        ("split_seed = 1", "split_seed = 1\nsample = 500", "data.sample"),
        ('outliers = ["letters"]', 'outliers = ["cifar10"]', "anomaly.outliers"),
        ('outliers = ["letters"]', 'outliers = ["mnist"]', "anomaly.outliers"),
        ('architecture = "pm_mnist_classifier"', 'architecture = "pm_cifar10_classifier"', "classifier.architecture"),
        ('architecture = "pooled_mnist_classifier"', 'architecture = "lr_discriminator"', "judge.architecture"),
        ('architecture = "small_mnist_vae"', 'architecture = "lr_s_vae"', "spaces.ranking.architecture"),
    ],
)
def test_what_is_wrong_is_named_with_key_and_line(tmp_path: Path, old: str, new: str, key: str) -> None:
    path = _changed(tmp_path, old, new)
    with pytest.raises(RecipeInvalid) as caught:
        load_recipe(path)
    assert key in caught.value.message
    line = int(caught.value.metadata["line"])
    assert f"line {line}" in caught.value.message
    assert key.split(".")[-1] in path.read_text(encoding="utf-8").splitlines()[line - 1]


def test_supervision_is_for_known_factors_and_a_latent_for_each(tmp_path: Path) -> None:
    planted, keys = SHIPPED.parent / "planted_x", "supervised_images = 9\nsupervision_weight = 1.0"
    space = load_recipe(_changed(tmp_path, "beta = 4.0", f"beta = 4.0\n{keys}", planted)).spaces["ranking"]
    assert (space.supervised_images, space.supervision_weight) == (9, 1.0)
    path = _changed(tmp_path, "latents = 8", f"latents = 4\n{keys}", planted)
    with pytest.raises(RecipeInvalid, match=r"spaces\.ranking\.latents: 4 latents cannot hold 5 factors"):
        load_recipe(path)


def test_keys_that_came_later_leave_an_older_recipes_digest_alone(tmp_path: Path) -> None:
    """The digest that the committed bundle was built from: a change of it would mean training again."""
    manifest = json.loads((SHIPPED / "1" / "manifest.json").read_text(encoding="utf-8"))
    assert load_recipe(SHIPPED).digest() == manifest["recipe_digest"]
    spelled = load_recipe(_changed(tmp_path, "beta = 1.0", 'beta = 1.0\nreconstruction = "bernoulli"'))
    assert spelled.digest() == manifest["recipe_digest"]
    changed = load_recipe(_changed(tmp_path, "beta = 1.0", 'beta = 1.0\nreconstruction = "ssim"'))
    assert changed.digest() != manifest["recipe_digest"]


@pytest.mark.parametrize("folder", sorted(path.parent.name for path in SHIPPED.parent.glob("*/recipe.toml")))
def test_every_shipped_recipe_is_named_as_its_folder(folder: str) -> None:
    assert load_recipe(SHIPPED.parent / folder).name == folder


def test_a_missing_key_names_its_section(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match=r"spaces\.ranking\.architecture is missing"):
        load_recipe(_changed(tmp_path, 'architecture = "small_mnist_vae"', ""))


def test_a_role_belongs_to_one_space(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match="role morphing belongs to more than one space"):
        load_recipe(_changed(tmp_path, 'roles = ["ranking"]', 'roles = ["morphing"]'))


def test_text_that_is_not_toml_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match=r"is not TOML.*line"):
        load_recipe(_changed(tmp_path, "[data]", "[data"))


def test_a_folder_without_a_recipe_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeInvalid, match=r"There is no recipe .*recipe\.toml"):
        load_recipe(tmp_path)
