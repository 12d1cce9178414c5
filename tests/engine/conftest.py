"""One digit to ask about, and engines over backends of the test's own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from explaind.engine import Engine
from explaind.metrics import Metrics
from explaind.requests import ImageInput
from explaind.settings import Settings
from tests.conftest import RealImages
from tests.switched_backend import Switch


@pytest.fixture
def digit(real_images: RealImages) -> ImageInput:
    return ImageInput(array=real_images.digits[0][np.newaxis])


@pytest.fixture
def open_engine() -> Iterator[Callable[..., Engine]]:
    """Engines over a store with backends of the test's own; closed at the end."""
    opened: list[Engine] = []

    def build(store: Path, *switches: Switch, **settings: object) -> Engine:
        available = {switch.name: switch.open_bundle for switch in switches or (Switch(),)}
        configured = Settings.model_validate({"model_store": store, "reload_seconds": 0, **settings})
        opened.append(Engine(configured, Metrics(CollectorRegistry()), available))
        return opened[-1]

    yield build
    for engine in opened:
        engine.close()
