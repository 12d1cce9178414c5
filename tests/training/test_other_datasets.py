"""The sets that have no test part of their own: small files of the same format, of no real images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from explaind.errors import DataSetInvalid
from explaind.training.data_sets import DATA_SETS
from explaind.training.datasets import ImageSet, load_images, load_letters, load_splits, load_sprites, split_families
from explaind.training.recipe import DataRecipe

Arrays = Mapping[str, NDArray[np.generic]]
PARTS = ("train", "validation", "calibration", "evaluation")


def _random(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(7).integers(0, 256, shape, dtype=np.uint8)


def _sprites() -> Arrays:
    """3 shapes × 2 scales × 2 orientations × 4 columns × 5 rows in the order of the real file, a pixel each."""
    factors = np.stack(np.meshgrid(*map(np.arange, (1, 3, 2, 2, 4, 5)), indexing="ij"), axis=-1).reshape(-1, 6)
    images = np.zeros((len(factors), 64, 64), np.uint8)
    images[np.arange(len(factors)), factors[:, 4], factors[:, 5]] = 1
    return {"imgs": images, "latents_classes": factors.astype(np.int64)}


ARCHIVES: Mapping[str, Arrays] = {
    "letters.npz": {"x": _random(200, 28, 28), "y": np.arange(200) % 10, "family": np.arange(200) // 7},
    "cifar10_24k.npz": {
        "x_train": _random(100, 32, 32, 3), "y_train": np.arange(100) % 10,
        "x_test": _random(180, 32, 32, 3)[100:], "y_test": np.arange(80) % 10,
    },
    "dsprites.npz": _sprites(),
    "faces.npz": {"cbcl_face": _random(150, 19, 19), "cbcl_nonface": _random(120, 19, 19)},
    "pedestrians.npz": {"x": _random(150, 96, 48, 3), "frame": np.arange(150) * 5},
}  # fmt: skip
FILES = {
    "letters": "letters.npz",
    "cifar10": "cifar10_24k.npz",
    "dsprites": "dsprites.npz",
    "faces": "faces.npz",
    "nonfaces": "faces.npz",
    "pedestrians": "pedestrians.npz",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("others")
    for name, arrays in ARCHIVES.items():
        np.savez_compressed(path / name, **arrays)  # type: ignore[arg-type]
    return path


def _changed(folder: Path, file: str, **changes: NDArray[np.generic]) -> Path:
    np.savez(folder / file, **{**ARCHIVES[file], **changes})  # type: ignore[arg-type]
    return folder


def _images(name: str, folder: Path) -> tuple[ImageSet, ImageSet]:
    return load_images(name, folder, sample=200 if name == "dsprites" else None)


@pytest.mark.parametrize("name", sorted(FILES))
def test_images_are_as_the_catalogue_says(name: str, folder: Path) -> None:
    kind = DATA_SETS[name]
    for images in _images(name, folder):
        assert images.images.dtype == np.uint8
        assert images.images.shape == (len(images), *kind.image_shape)
        assert images.images.flags.c_contiguous
        assert images.labels.shape == (len(images),)
        if kind.class_names:
            assert set(images.labels.tolist()) == set(range(len(kind.class_names)))


@pytest.mark.parametrize("name", ["letters", "cifar10", "dsprites", "faces", "pedestrians"])
def test_the_four_parts_share_no_image_and_no_group(name: str, folder: Path) -> None:
    sample = 200 if name == "dsprites" else None
    splits = load_splits(DataRecipe(set=name, validation=16, calibration=12, sample=sample), folder)
    parts = [getattr(splits, part) for part in PARTS]
    assert [len(parts[1]), len(parts[2])] == [16, 12]
    for index, first in enumerate(parts):
        for second in parts[index + 1 :]:
            groups = [set(part.groups.tolist()) for part in (first, second) if part.groups is not None]
            assert not groups or not groups[0] & groups[1]
            if name != "dsprites":  # sprites of one pixel look alike
                assert not {image.tobytes() for image in first.images} & {image.tobytes() for image in second.images}
    assert all(part.groups is not None for part in parts) == (name in ("letters", "pedestrians"))


@pytest.mark.parametrize("name", ["letters", "dsprites", "faces", "pedestrians"])
def test_the_division_is_random_but_seeded(name: str, folder: Path) -> None:
    sample = 100 if name == "dsprites" else None
    first, again, other = (load_images(name, folder, sample=sample, split_seed=seed)[1] for seed in (1, 1, 2))
    assert np.array_equal(first.images, again.images)
    assert not np.array_equal(first.images, other.images)


def test_a_family_of_letters_is_in_one_part_however_they_are_used(folder: Path) -> None:
    for train, test in (load_images("letters", folder), split_families(load_letters(folder), seed=3)):
        assert train.groups is not None
        assert test.groups is not None
        assert len(train) + len(test) > 190  # what the last family has over the share is in neither
        assert not set(train.groups.tolist()) & set(test.groups.tolist())


def test_sprites_are_a_sample_with_its_factors(folder: Path) -> None:
    sprites = load_sprites(folder, 90, seed=5)
    assert sprites.images.shape == (90, 1, 64, 64)
    assert len(set(sprites.rows.tolist())) == 90
    assert (np.diff(sprites.rows) > 0).all()
    drawn = np.argwhere(sprites.images[:, 0] == 255)
    assert np.array_equal(drawn[:, 1:], sprites.factors[:, 3:])  # the pixel stands where its factors say
    assert np.array_equal(sprites.factors, np.asarray(ARCHIVES["dsprites.npz"]["latents_classes"])[sprites.rows, 1:])


def test_more_sprites_than_there_are_cannot_be_drawn(folder: Path) -> None:
    with pytest.raises(DataSetInvalid, match="dsprites has 240 images: 241 cannot be drawn"):
        load_sprites(folder, 241, seed=5)


def test_faces_are_padded_and_their_light_is_read_from_them(folder: Path, tmp_path: Path) -> None:
    faces = np.full((20, 19, 19), 90, np.uint8)
    faces[::2, :, :9] += 20
    faces[1::2, :, 10:] += 20
    for images in load_images("faces", _changed(tmp_path, "faces.npz", cbcl_face=faces)):
        for image, label in zip(images.images[:, 0], images.labels, strict=True):
            assert (image[6:25, 6:25] >= 90).all()
            assert image.astype(int).sum() == image[6:25, 6:25].astype(int).sum()
            assert (image[6:25, 6:15].mean() > image[6:25, 16:25].mean()) == label


def test_bright_torsos_are_told_from_dark_ones(tmp_path: Path) -> None:
    crops = np.full((150, 96, 48, 3), 128, np.uint8)
    crops[::2, 25:60, 15:33] = 200
    crops[1::2, 25:60, 15:33] = 40
    for images in load_images("pedestrians", _changed(tmp_path, "pedestrians.npz", x=crops)):
        assert np.array_equal(images.images[:, 0, 50, 32] > 128, images.labels == 1)


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_archive_says_where_to_look(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataSetInvalid, match=f"EXPLAIND_DATA.*{FILES[name]}"):
        _images(name, tmp_path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.6, 0.95])
@pytest.mark.parametrize("name", sorted(FILES))
def test_a_truncated_archive_is_damaged(name: str, share: float, folder: Path, tmp_path: Path) -> None:
    whole = (folder / FILES[name]).read_bytes()
    (tmp_path / FILES[name]).write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(DataSetInvalid, match="is damaged"):
        _images(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "key"),
    [("letters", "x"), ("cifar10", "x_test"), ("faces", "cbcl_face"), ("nonfaces", "cbcl_nonface"),
     ("pedestrians", "x"), ("dsprites", "imgs")],
)  # fmt: skip
@pytest.mark.parametrize("wrong", [_random(100, 30, 30), _random(100, 28, 28).astype(np.float32)], ids=["size", "type"])
def test_images_of_another_shape_or_type_are_damaged(
    name: str, key: str, wrong: NDArray[np.generic], tmp_path: Path
) -> None:
    with pytest.raises(DataSetInvalid, match="is damaged: its images are"):
        _images(name, _changed(tmp_path, FILES[name], **{key: wrong}))


@pytest.mark.parametrize(
    ("name", "changes", "problem"),
    [
        ("letters", {"family": np.zeros(3, np.int16)}, "family has another length"),
        ("letters", {"y": np.zeros(3, np.int16)}, "200 images and 3 labels"),
        ("letters", {"y": np.zeros(200)}, "labels are float64"),
        ("letters", {"y": np.arange(200) % 11}, "letters has labels 0 to 10, not 0 to 9"),
        ("cifar10", {"y_test": np.arange(80) % 10 - 1}, "cifar10 has labels -1 to 8, not 0 to 9"),
        ("pedestrians", {"frame": np.zeros(3, np.int16)}, "150 crops and 3 frame numbers"),
        ("faces", {"cbcl_face": np.zeros((0, 19, 19), np.uint8)}, "it has no faces"),
        ("dsprites", {"latents_classes": np.zeros((3, 6), np.int64)}, "latents_classes are int64 of shape"),
        ("dsprites", {"imgs": np.full((240, 64, 64), 7, np.uint8)}, "not binary"),
        ("dsprites", {"imgs": np.zeros((240, 64, 64))}, "images are float64"),
    ],
)
def test_parts_that_do_not_belong_together_are_damaged(
    name: str, changes: Mapping[str, NDArray[np.generic]], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(DataSetInvalid, match=problem):
        _images(name, _changed(tmp_path, FILES[name], **changes))


@pytest.mark.parametrize("file", sorted(ARCHIVES))
def test_an_archive_without_a_key_names_it(file: str, tmp_path: Path) -> None:
    np.savez(tmp_path / file, other=np.zeros(3))
    name = next(name for name, its in FILES.items() if its == file)
    with pytest.raises(DataSetInvalid, match="it has no array"):
        _images(name, tmp_path)
