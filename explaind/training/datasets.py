"""Real images for training and evaluation: NumPy archives, or torchvision's downloads where there is no archive."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explaind.errors import DataSetInvalid
from explaind.training.recipe import DataRecipe

ByteArray = NDArray[np.uint8]
LabelArray = NDArray[np.int64]

CLASS_NAMES: Mapping[str, tuple[str, ...]] = {
    "mnist": tuple(str(digit) for digit in range(10)),
    "fashion_mnist": ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "boot"),
    "letters": tuple("ABCDEFGHIJ"),
}


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """images: uint8 (N, C, H, W); labels: (N,)."""

    images: ByteArray
    labels: LabelArray

    def __len__(self) -> int:
        return len(self.images)

    def take(self, indices: NDArray[np.int64]) -> ImageSet:
        return ImageSet(self.images[indices], self.labels[indices])


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """train and validation: of the training set. calibration and evaluation: of the test set."""

    train: ImageSet
    validation: ImageSet
    calibration: ImageSet
    evaluation: ImageSet


@dataclass(frozen=True, slots=True, eq=False)
class Letters:
    """family (N,): the font family of each image; split by it, never by image."""

    images: ByteArray
    labels: LabelArray
    family: LabelArray


def as_floats(images: ByteArray) -> NDArray[np.float32]:
    """uint8 → float32 in [0, 1], same shape."""
    return images.astype(np.float32) / np.float32(255)


def load_splits(recipe: DataRecipe, folder: Path, *, download: bool = False) -> Splits:
    """The recipe's data set in its four parts; both divisions are random and seeded.

    Raises DataSetInvalid where the set is missing, damaged or smaller than the recipe asks.
    """
    train, test = load_images(recipe.set, folder, download=download)
    fitting, validation = _divide(train, recipe.validation, recipe.split_seed, recipe.set)
    evaluation, calibration = _divide(test, recipe.calibration, recipe.split_seed + 1, recipe.set)
    return Splits(fitting, validation, calibration, evaluation)


def load_images(name: str, folder: Path, *, download: bool = False) -> tuple[ImageSet, ImageSet]:
    """Training and test set of `mnist` or `fashion_mnist` from `folder/<name>.npz`, else from torchvision."""
    path = folder / f"{name}.npz"
    if not path.exists() and download:
        return _download(name, folder)
    arrays = _read(path, ("x_train", "y_train", "x_test", "y_test"))
    return _image_set(path, arrays["x_train"], arrays["y_train"]), _image_set(path, arrays["x_test"], arrays["y_test"])


def load_letters(folder: Path) -> Letters:
    """The letters A–J of `folder/letters.npz`. They have no other source."""
    path = folder / "letters.npz"
    arrays = _read(path, ("x", "y", "family"))
    images = _image_set(path, arrays["x"], arrays["y"])
    _, family = np.unique(arrays["family"], return_inverse=True)
    if len(family) != len(images):
        raise _damaged(path, "its family has another length than its images")
    return Letters(images.images, images.labels, family.astype(np.int64))


def split_families(letters: Letters, seed: int) -> tuple[ImageSet, ImageSet]:
    """Two sets of letters that share no font family: about half the families to fit on, half to be scored on."""
    families = np.random.default_rng(seed).permutation(int(letters.family.max()) + 1)
    fitting = np.isin(letters.family, families[: len(families) // 2])
    everything = ImageSet(letters.images, letters.labels)
    return everything.take(np.flatnonzero(fitting)), everything.take(np.flatnonzero(~fitting))


def _divide(images: ImageSet, count: int, seed: int, name: str) -> tuple[ImageSet, ImageSet]:
    """(the rest, `count` random images)."""
    if count >= len(images):
        raise DataSetInvalid(f"{name} has {len(images)} images: {count} cannot be kept back; lower it in the recipe.")
    order = np.random.default_rng(seed).permutation(len(images))
    return images.take(np.sort(order[count:])), images.take(np.sort(order[:count]))


def _read(path: Path, keys: tuple[str, ...]) -> dict[str, NDArray[np.generic]]:
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            return {key: archive[key] for key in keys}
    except FileNotFoundError as exc:
        raise DataSetInvalid(
            f"There is no data set {path}; set EXPLAIND_DATA to the folder that has {path.name}.",
            metadata={"path": str(path)},
        ) from exc
    except KeyError as exc:
        raise _damaged(path, f"it has no array {exc.args[0]}") from exc
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as exc:
        raise _damaged(path, str(exc)) from exc


def _image_set(path: Path, images: NDArray[np.generic], labels: NDArray[np.generic]) -> ImageSet:
    if images.ndim not in (3, 4) or images.dtype != np.uint8:
        raise _damaged(path, f"its images are {images.dtype} of shape {images.shape}, not uint8 (N, H, W[, C])")
    if labels.shape != images.shape[:1] or not len(images):
        raise _damaged(path, f"it has {len(images)} images and {labels.size} labels")
    channels_last = images[..., None] if images.ndim == 3 else images
    return ImageSet(np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2)), labels.astype(np.int64))


def _damaged(path: Path, problem: str) -> DataSetInvalid:
    return DataSetInvalid(
        f"The data set {path} is damaged: {problem}. Replace it with a whole copy.", metadata={"path": str(path)}
    )


def _download(name: str, folder: Path) -> tuple[ImageSet, ImageSet]:
    """torchvision's own copy, kept under `folder/torchvision`."""
    from torchvision import datasets

    source = {"mnist": datasets.MNIST, "fashion_mnist": datasets.FashionMNIST}[name]
    try:
        parts = [source(str(folder / "torchvision"), train=train, download=True) for train in (True, False)]
    except (OSError, RuntimeError) as exc:
        raise DataSetInvalid(
            f"There is no {folder / name}.npz and torchvision could not download it ({exc}); "
            "set EXPLAIND_DATA to a folder that has the archive.",
            metadata={"path": str(folder)},
        ) from exc
    train, test = (_image_set(folder, part.data.numpy(), part.targets.numpy()) for part in parts)
    return train, test
