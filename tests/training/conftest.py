"""A small synthetic data set in the real ones' format: tests need no download and learn in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from explaind.training.datasets import ByteArray, LabelArray
from explaind.training.recipe import Recipe


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


def _bars(count: int, seed: int) -> tuple[ByteArray, LabelArray]:
    """Class k is a bright bar in rows 2k + 4 and below, of random brightness, on a little noise."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    images = generator.integers(0, 30, (count, 28, 28))
    for image, label in zip(images, labels, strict=True):
        image[2 * label + 4 : 2 * label + 7, 6:22] += generator.integers(120, 220)
    return images.astype(np.uint8), labels.astype(np.uint8)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with mnist.npz (600 training, 200 test images) and letters.npz (60 images of 12 families)."""
    folder = tmp_path_factory.mktemp("data")
    (x_train, y_train), (x_test, y_test) = _bars(600, 1), _bars(200, 2)
    np.savez(folder / "mnist.npz", x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)
    letters, y = _bars(60, 3)
    family = np.array([f"family {i // 5}" for i in range(60)])
    np.savez(
        folder / "letters.npz", x=np.ascontiguousarray(letters.transpose(0, 2, 1)), y=y, font=family, family=family
    )
    return folder


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    fit = {"epochs": 2, "patience": 2, "batch_size": 50, "learning_rate": 3e-3}
    return Recipe.model_validate(
        {
            "name": "bars",
            "seed": 3,
            "threads": 1,
            "data": {"set": "mnist", "validation": 100, "calibration": 100},
            "classifier": {"architecture": "pm_mnist_classifier", **fit},
            "judge": {"architecture": "pooled_mnist_classifier", **fit, "epochs": 1},
            "spaces": {
                "morphing": {"architecture": "pm_mnist_vae", "roles": ["morphing"], **fit},
                "ranking": {
                    "architecture": "small_mnist_vae", "roles": ["ranking"], **fit,
                    "beta": 4.0, "capacity": 10.0, "capacity_epochs": 1,
                },
            },
            "reference": {
                "images": 300, "forest_images": 200, "sobol_samples": 16, "forest_trees": [3, 5],
                "served_trees": 4, "served_leaves": 8, "samples_per_image": 2, "minimum_kl": 0.0,
                "minimum_visible_effect": 0.0,
            },
            "anomaly": {"outliers": ["letters"], "outlier_images": 20},
        }
    )  # fmt: skip
