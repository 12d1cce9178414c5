"""The committed bundle with the committed digits as its data set, so that an evaluation needs nothing else."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from explaind.bundles import manifest as manifests
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.subject import Subject, open_subject
from explaind.training.recipe import load_recipe
from tests.conftest import ROOT, RealImages

SMALL = Extent(images=12, paths=6, splits=4, reference_morphs=1, reference_masks=1, backend_images=1, torchserve=False)


@pytest.fixture(scope="session")
def digits_data(real_images: RealImages, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder: mnist.npz with 180 training and 120 test digits, and fashion_mnist.npz with 50 and 50 clothes."""
    folder = tmp_path_factory.mktemp("digits")
    x, y = real_images.digits, real_images.labels
    np.savez(folder / "mnist.npz", x_train=x[:180], y_train=y[:180], x_test=x[180:], y_test=y[180:])
    clothes, kinds = real_images.clothes, (np.arange(100) % 10).astype(np.uint8)
    np.savez(
        folder / "fashion_mnist.npz", x_train=clothes[:50], y_train=kinds[:50], x_test=clothes[50:], y_test=kinds[50:]
    )
    return folder


@pytest.fixture
def digits_bundle(store: Path, tmp_path: Path) -> Path:
    """A copy of the committed bundle whose recipe asks for few images, names no judge and no known outliers."""
    return copy_bundle(store, tmp_path / "store")


@pytest.fixture(scope="session")
def digits_subject(store: Path, digits_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """60 evaluation digits, 60 to calibrate on, 120 of training, 60 of validation; the committed networks."""
    folder = tmp_path_factory.mktemp("subject")
    return open_subject(copy_bundle(store, folder), digits_data, folder / "runs")


def copy_bundle(store: Path, folder: Path) -> Path:
    shutil.copytree(store / "mnist/1", folder / "mnist/1")
    shutil.copy(store / "mnist/labels.toml", folder / "mnist")
    text = (ROOT / "model_store/mnist/recipe.toml").read_text(encoding="utf-8")
    for key in ("validation", "calibration"):
        text = re.sub(rf"^{key} = \d+", f"{key} = 60", text, flags=re.MULTILINE)
    text = re.sub(r"^\[judge\].*?(?=^\[)", "", text, flags=re.MULTILINE | re.DOTALL)
    text = text.replace('outliers = ["letters"]', "outliers = []")
    (folder / "mnist/recipe.toml").write_text(text, encoding="utf-8")
    sign_recipe(folder / "mnist")
    return folder / "mnist"


def sign_recipe(bundle: Path) -> None:
    """As if the bundle had been built from the recipe that lies beside it."""
    described = manifests.read(bundle / "1")
    manifests.save(bundle / "1", described.model_copy(update={"recipe_digest": load_recipe(bundle).digest()}))
