"""The committed demo bundle and the committed real images, for every test that needs them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from explaind.backends.torchserve_launcher import TorchServe
from explaind.engine import Engine
from explaind.metrics import Metrics
from explaind.settings import Settings
from tests.demo_store import STORE

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class RealImages:
    """uint8, none of which the bundle was fitted or calibrated on: digits (300, 28, 28) and clothes (100, 28, 28)."""

    digits: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    clothes: NDArray[np.uint8]


@pytest.fixture(scope="session")
def real_images() -> RealImages:
    with np.load(ROOT / "tests/data/images.npz") as data:
        return RealImages(data["mnist"], data["mnist_labels"], data["fashion"])


@pytest.fixture(scope="session")
def store() -> Path:
    """The demo bundle's; tests must not change it."""
    return STORE


@pytest.fixture
def own_store(store: Path, tmp_path: Path) -> Path:
    """A model store with a copy of the demo bundle, to be changed."""
    shutil.copytree(store / "mnist/1", tmp_path / "store/mnist/1")
    return tmp_path / "store"


@pytest.fixture(scope="session")
def engine(store: Path) -> Iterator[Engine]:
    """Warm, onnx only, over the demo bundle."""
    opened = Engine.open(Settings(model_store=store, reload_seconds=0), Metrics(CollectorRegistry()))
    opened.warm()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def torchserve_bundle(store: Path) -> Path:
    """The bundle that `torchserve_server` serves."""
    return store / "mnist/1"


@pytest.fixture(scope="session")
def torchserve_server(torchserve_bundle: Path) -> Iterator[TorchServe]:
    """Five to ten seconds to start, so one for all tests; they must not stop it."""
    with TorchServe.launch([torchserve_bundle]) as server:
        yield server
