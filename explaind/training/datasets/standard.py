"""Sets that come with a training and a test part: MNIST, FashionMNIST, CIFAR-10."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explaind.errors import DataSetInvalid
from explaind.training.datasets.archives import image_set, read_arrays
from explaind.training.datasets.image_set import ImageSet

_KEYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, slots=True)
class _Standard:
    """torchvision: its class of the same images."""

    file: str
    torchvision: str
    shape: tuple[int, ...]


STANDARD = {
    "mnist": _Standard("mnist.npz", "MNIST", (28, 28)),
    "fashion_mnist": _Standard("fashion_mnist.npz", "FashionMNIST", (28, 28)),
    "cifar10": _Standard("cifar10_24k.npz", "CIFAR10", (32, 32, 3)),
}


def load_standard(name: str, folder: Path, *, download: bool = False) -> tuple[ImageSet, ImageSet]:
    """Training and test set from the archive in `folder`, else torchvision's own copy, which it fetches if `download`.

    The archive of CIFAR-10 is a balanced part, 24,000 images; torchvision's copy is whole.
    Raises DataSetInvalid where there is neither.
    """
    known = STANDARD[name]
    path = folder / known.file
    if not path.exists():
        return _torchvision(known, folder, download)
    x_train, y_train, x_test, y_test = read_arrays(path, _KEYS).values()
    return image_set(path, x_train, y_train, known.shape), image_set(path, x_test, y_test, known.shape)


def _torchvision(known: _Standard, folder: Path, download: bool) -> tuple[ImageSet, ImageSet]:
    """Kept under `folder/torchvision`, for whoever needs the set next."""
    from torchvision import datasets

    source = getattr(datasets, known.torchvision)
    try:
        parts = [source(str(folder / "torchvision"), train=train, download=download) for train in (True, False)]
    except (OSError, RuntimeError) as exc:
        failure = f" and torchvision could not download it ({exc})" if download else ""
        advice = "" if download else ", or let `explaind train --download` fetch the images"
        raise DataSetInvalid(
            f"There is no data set {folder / known.file}{failure}; set EXPLAIND_DATA to the folder that has "
            f"{known.file}{advice}.",
            metadata={"path": str(folder / known.file)},
        ) from exc
    train, test = (image_set(folder, np.asarray(p.data), np.asarray(p.targets), known.shape) for p in parts)
    return train, test
