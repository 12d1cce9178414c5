from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explaind.errors import DataSetInvalid
from explaind.training.datasets import ByteArray, as_floats, load_images, load_letters, load_splits, split_families
from explaind.training.recipe import DataRecipe

RECIPE = DataRecipe(set="mnist", validation=100, calibration=120)


def test_the_four_parts_are_disjoint_and_whole(data: Path) -> None:
    splits = load_splits(RECIPE, data)
    assert [len(part) for part in (splits.train, splits.validation, splits.calibration, splits.evaluation)] == [
        500, 100, 120, 80,
    ]  # fmt: skip
    train, test = load_images("mnist", data)
    for whole, parts in ((train, (splits.train, splits.validation)), (test, (splits.calibration, splits.evaluation))):
        together = np.concatenate([part.images for part in parts])
        assert sorted(image.tobytes() for image in together) == sorted(image.tobytes() for image in whole.images)


def test_the_division_is_random_but_seeded(data: Path) -> None:
    first, again = load_splits(RECIPE, data), load_splits(RECIPE, data)
    other = load_splits(DataRecipe(set="mnist", validation=100, calibration=120, split_seed=9), data)
    assert np.array_equal(first.calibration.images, again.calibration.images)
    assert not np.array_equal(first.calibration.images, other.calibration.images)


def test_images_are_channels_first_bytes(data: Path) -> None:
    train, _ = load_images("mnist", data)
    assert train.images.shape == (600, 1, 28, 28)
    assert train.images.dtype == np.uint8
    floats = as_floats(train.images)
    assert floats.dtype == np.float32
    assert 0.0 <= floats.min() < floats.max() <= 1.0


def test_letters_are_divided_by_family(data: Path) -> None:
    letters = load_letters(data)
    fitting, scoring = split_families(letters, seed=1)
    assert len(fitting) + len(scoring) == 60
    shared = {image.tobytes() for image in fitting.images} & {image.tobytes() for image in scoring.images}
    assert not shared
    assert len(fitting) % 5 == 0  # five images a family


def test_a_missing_archive_says_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(DataSetInvalid, match="EXPLAIND_DATA"):
        load_images("mnist", tmp_path)


@pytest.mark.parametrize("length", [0, 100, 20000])
def test_a_truncated_archive_is_damaged(data: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / "mnist.npz").write_bytes((data / "mnist.npz").read_bytes()[:length])
    with pytest.raises(DataSetInvalid, match="is damaged"):
        load_images("mnist", tmp_path)


def test_an_archive_without_a_key_names_it(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x_train=np.zeros((3, 28, 28), np.uint8))
    with pytest.raises(DataSetInvalid, match="no array y_train"):
        load_images("mnist", tmp_path)


def test_floats_and_unequal_lengths_are_damaged(tmp_path: Path) -> None:
    arrays = {"x_train": np.zeros((3, 28, 28)), "y_train": np.zeros(3, np.uint8)}
    np.savez(tmp_path / "mnist.npz", **arrays, x_test=arrays["x_train"], y_test=arrays["y_train"])  # type: ignore[arg-type]
    with pytest.raises(DataSetInvalid, match="float64"):
        load_images("mnist", tmp_path)
    arrays = {"x_train": np.zeros((3, 28, 28), np.uint8), "y_train": np.zeros(2, np.uint8)}
    np.savez(tmp_path / "mnist.npz", **arrays, x_test=arrays["x_train"], y_test=arrays["y_train"])  # type: ignore[arg-type]
    with pytest.raises(DataSetInvalid, match="3 images and 2 labels"):
        load_images("mnist", tmp_path)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_images_of_another_shape_are_damaged(name: str, tmp_path: Path) -> None:
    images, labels = np.zeros((20, 32, 32), np.uint8), np.zeros(20, np.uint8)
    np.savez(tmp_path / f"{name}.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    with pytest.raises(DataSetInvalid, match="is damaged: its images are"):
        load_images(name, tmp_path)


def _write_idx(path: Path, array: ByteArray) -> None:
    """The format of MNIST's own files: two zero bytes, the type (8: bytes), the rank, the big-endian sizes."""
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    path.write_bytes(header + array.tobytes())


@pytest.mark.parametrize("download", [True, False])
def test_without_an_archive_torchvisions_copy_is_read(data: Path, tmp_path: Path, download: bool) -> None:
    raw = tmp_path / "torchvision" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    with np.load(data / "mnist.npz") as archive:
        for ours, theirs in (("train", "train"), ("test", "t10k")):
            _write_idx(raw / f"{theirs}-images-idx3-ubyte", archive[f"x_{ours}"])
            _write_idx(raw / f"{theirs}-labels-idx1-ubyte", archive[f"y_{ours}"])
    for found, expected in zip(
        load_images("mnist", tmp_path, download=download), load_images("mnist", data), strict=True
    ):
        assert np.array_equal(found.images, expected.images)
        assert np.array_equal(found.labels, expected.labels)


def test_more_images_than_there_are_cannot_be_kept_back(data: Path) -> None:
    with pytest.raises(DataSetInvalid, match="600 cannot be kept back"):
        load_splits(DataRecipe(set="mnist", validation=600), data)
