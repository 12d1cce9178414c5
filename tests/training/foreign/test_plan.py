from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from torch import nn

from explaind.errors import ClassifierInvalid, DataSetInvalid
from explaind.training.datasets.image_folder import ImageTree, look_at
from explaind.training.foreign.behaviour import Behaviour
from explaind.training.foreign.plan import Sizes, Wishes, counts, preparation, sizes_of
from explaind.training.foreign.preparation import Preparation
from explaind.training.foreign.program import Program
from explaind.training.foreign.recipe_text import recipe_text
from explaind.training.recipe import load_recipe

ANY_SIZE = Program(nn.Identity(), 3, None, None, differentiable=True)
FIXED = replace(ANY_SIZE, height=224, width=224)
WISHES = Wishes(name="shoes", images=Path("photos"))


@pytest.fixture
def tree(tmp_path: Path) -> ImageTree:
    """Two classes of 80, most of them 40 × 30."""
    for name in ("boot", "clog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for index in range(80):
            size = (30, 40) if index else (50, 50)
            Image.new("RGB", size, (index, 0, 0)).save(tmp_path / "photos" / name / f"{index}.png")
    return look_at(tmp_path / "photos")


def test_a_classifier_of_any_size_needs_to_be_told_one() -> None:
    with pytest.raises(ClassifierInvalid, match="--input-size"):
        preparation(ANY_SIZE, Sizes((64, 64), mixed=False), WISHES)


def test_means_are_one_or_one_a_channel() -> None:
    with pytest.raises(ClassifierInvalid, match="--mean has 2 numbers, the classifier 3 channels"):
        preparation(FIXED, Sizes((64, 64), mixed=False), replace(WISHES, mean=(0.1, 0.2)))


def test_images_too_small_are_refused_with_what_to_do() -> None:
    with pytest.raises(DataSetInvalid, match=r"10 × 10 pixels are too small.*--size"):
        preparation(FIXED, Sizes((10, 10), mixed=False), WISHES)


def test_too_few_images_to_calibrate_on(tree: ImageTree) -> None:
    with pytest.raises(DataSetInvalid, match="100 images are too few: 18 would be left"):
        counts(tree, 100)


@pytest.mark.parametrize(
    ("common", "asked", "shape"),
    [
        ((224, 160), None, (64, 48)), ((32, 32), None, (32, 32)), ((30, 30), None, (32, 32)),
        ((224, 224), (128, 64), (128, 64)), ((28, 28), (100, 100), (96, 96)),
    ],
)  # fmt: skip
def test_large_images_are_explained_smaller_unless_a_size_is_asked(
    common: tuple[int, int], asked: tuple[int, int] | None, shape: tuple[int, int]
) -> None:
    prepared = preparation(FIXED, Sizes(common, mixed=False), replace(WISHES, size=asked))
    assert prepared.image_shape == (3, *shape) and prepared.input_shape == (3, 224, 224)


def test_the_commonest_size_counts(tree: ImageTree) -> None:
    assert sizes_of(tree) == Sizes((40, 30), mixed=True)


def test_the_recipe_that_is_written_can_be_read(tree: ImageTree, tmp_path: Path) -> None:
    program = tmp_path / "classifier.pt2"
    program.write_bytes(b"a program")
    prepared = Preparation(image_shape=(3, 48, 32), input_shape=(3, 224, 224), mean=(0.5, 0.4, 0.3))
    wishes = replace(WISHES, images=tmp_path / "photos", quick=True)
    parts = counts(tree, wishes.most_images)
    text = recipe_text(wishes, tree, Behaviour(prepared, 0.005), parts, program, gradients=True)
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    recipe = load_recipe(tmp_path)
    assert recipe.data.classes == ("boot", "clog") and recipe.data.image_shape == (3, 48, 32)
    assert recipe.classifier.mean == (0.5, 0.4, 0.3)  # type: ignore[union-attr]
    assert parts.train + parts.validation + parts.calibration + parts.evaluation == 160
    assert 32 <= recipe.reference.sobol_samples <= 64
