"""Folders of images: what is refused and how it is said, then how they are divided and read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from explaind.errors import DataSetInvalid
from explaind.training.data_recipe import DataRecipe
from explaind.training.datasets.folder import divided, folder_parts
from explaind.training.datasets.image_folder import look_at
from explaind.training.datasets.loading import load_splits


def _image(path: Path, value: int, size: tuple[int, int] = (28, 28), mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value if mode == "L" else (value, 0, 0)).save(path, lossless=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """40 images of `cat`, 20 of `dog`; the grey value tells which file it was."""
    for name, count in (("cat", 40), ("dog", 20)):
        for index in range(count):
            suffix = ("png", "webp")[index % 2]  # lossless for one flat colour
            _image(tmp_path / "tree" / name / f"{index:02}.{suffix}", index)
    return tmp_path / "tree"


def _recipe(tree: Path, **changed: object) -> DataRecipe:
    values: dict[str, object] = {
        "set": "folder", "path": str(tree), "classes": ("cat", "dog"), "image_shape": (1, 28, 28),
        "validation": 5, "calibration": 9,
    }  # fmt: skip
    return DataRecipe.model_validate({**values, **changed})


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataSetInvalid, match=r"There is no folder .*nowhere"):
        look_at(tmp_path / "nowhere")


def test_one_class_only(tree: Path) -> None:
    for path in (tree / "dog").iterdir():
        path.unlink()
    (tree / "dog").rmdir()
    with pytest.raises(DataSetInvalid, match="at least two classes"):
        look_at(tree)


def test_an_empty_class(tree: Path) -> None:
    (tree / "hen").mkdir()
    with pytest.raises(DataSetInvalid, match=r"'hen': .*hen is empty"):
        look_at(tree)


def test_a_class_of_too_few(tree: Path) -> None:
    _image(tree / "hen" / "0.png", 0)
    with pytest.raises(DataSetInvalid, match=r"'hen': .*has 1 images, at least 10"):
        look_at(tree)


def test_names_and_folders_must_be_the_same(tree: Path) -> None:
    with pytest.raises(DataSetInvalid, match=r"'cow': .*cow does not exist"):
        look_at(tree, ("cat", "dog", "cow"))
    (tree / "hen").mkdir()
    with pytest.raises(DataSetInvalid, match="folder hen, which is none of the classes"):
        look_at(tree, ("cat", "dog"))


def test_a_file_that_cannot_be_read_is_named_or_left_out(tree: Path) -> None:
    (tree / "cat" / "08.png").write_bytes(b"\x89PNG\r\n\x1a\n no more")
    with pytest.raises(DataSetInvalid, match=r"08\.png is no image .*--skip-unreadable"):
        folder_parts(_recipe(tree))
    train, test = folder_parts(_recipe(tree, skip_unreadable=True))
    assert len(train) + len(test) == 59


def test_too_few_for_the_divisions_asked(tree: Path) -> None:
    with pytest.raises(DataSetInvalid, match="cannot be kept back"):
        load_splits(_recipe(tree, calibration=18), tree)


def test_the_order_of_the_names_is_the_order_of_the_classes(tree: Path) -> None:
    assert look_at(tree).classes == ("cat", "dog")
    turned = look_at(tree, ("dog", "cat"))
    assert {label for path, label in turned.train if path.parent.name == "dog"} == {0}


def test_hidden_files_are_not_looked_at_and_others_counted(tree: Path) -> None:
    _image(tree / "cat" / ".hidden.png", 0)
    (tree / "cat" / "notes.txt").write_text("no image", encoding="utf-8")
    found = look_at(tree)
    assert len(found) == 60 and found.others == 1


def test_three_tenths_of_each_class_are_kept_for_testing(tree: Path) -> None:
    train, test = divided(look_at(tree), seed=1)
    assert [sum(label == index for _, label in test) for index in (0, 1)] == [12, 6]
    assert not set(train) & set(test) and len(train) + len(test) == 60
    assert divided(look_at(tree), seed=1) == (train, test) != divided(look_at(tree), seed=2)


def test_a_sample_is_drawn_evenly(tree: Path) -> None:
    train, test = divided(look_at(tree), seed=1, sample=30)
    assert [sum(label == index for _, label in (*train, *test)) for index in (0, 1)] == [20, 10]


def test_a_folder_divided_already_stays_so(tree: Path, tmp_path: Path) -> None:
    for part, name in (("train", "cat"), ("train", "dog"), ("test", "cat"), ("test", "dog")):
        for index in range(10):
            _image(tmp_path / "two" / part / name / f"{index}.png", index)
    train, test = divided(look_at(tmp_path / "two"), seed=1)
    assert {path.parent.parent.name for path, _ in train} == {"train"} and len(test) == 20
    assert {path.parent.parent.name for path, _ in test} == {"test"}


def test_images_are_read_as_the_service_reads_them(tree: Path) -> None:
    """Another size is stretched, a colour is made grey."""
    _image(tree / "cat" / "00.png", 100, size=(50, 30), mode="RGB")
    train, test = folder_parts(_recipe(tree))
    images = np.concatenate([train.images, test.images])
    assert images.shape == (60, 1, 28, 28) and images.dtype == np.uint8
    values = sorted(int(image.mean()) for image in images)
    assert values == sorted([30, *range(1, 40), *range(20)])  # 100 red is a luma of 29.9
