"""The engine over a real TorchServe: a killed worker shows, ONNX serves on, and the worker's return is noticed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from explaind.backends.torchserve_launcher import TorchServe
from explaind.engine import Engine
from explaind.explanations.budget import Budget
from explaind.explanations.types import AnomalyScoreParameters, LatentRankingParameters, PathMaskParameters
from explaind.metrics import Metrics
from explaind.requests import ExplanationRequest, ImageInput
from explaind.settings import Settings
from tests.conftest import RealImages
from tests.torchserve_workers import workers

pytestmark = pytest.mark.torchserve


@pytest.fixture(scope="module")
def server(store: Path) -> Iterator[TorchServe]:
    """Of its own: its worker is killed."""
    with TorchServe.launch([store / "mnist/1"]) as launched:
        yield launched


@pytest.fixture(scope="module")
def both(store: Path, server: TorchServe) -> Iterator[Engine]:
    settings = Settings(
        model_store=store,
        backends=("torchserve", "onnx"),
        torchserve_address=server.grpc_address,
        torchserve_management=server.management_address,
    )
    engine = Engine.open(settings, Metrics(CollectorRegistry()))
    engine.warm()
    yield engine
    engine.close()


def _whole(engine: Engine, real_images: RealImages) -> set[str]:
    """The backends that had a share in a whole explanation."""
    request = ExplanationRequest(
        model="mnist",
        image=ImageInput(array=real_images.digits[0][None]),
        latent_ranking=LatentRankingParameters(),
        anomaly_score=AnomalyScoreParameters(),
        path_mask=PathMaskParameters(),
    )
    return {timing.backend for timing in engine.explain(request, Budget()).timings} - {""}


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _shows_death_of_a_worker(server: TorchServe, engine: Engine) -> bool:
    """Killed again where it came back before anyone looked."""
    for worker in workers(server, "classifier"):
        worker.kill()
    return not engine.backend_states()[0].alive


def test_a_killed_worker_shows_unasked_and_its_return_too(
    server: TorchServe, both: Engine, real_images: RealImages
) -> None:
    assert _whole(both, real_images) == {"torchserve"}
    _wait(lambda: _shows_death_of_a_worker(server, both))
    assert "READY" in both.backend_states()[0].detail
    assert _whole(both, real_images) == {"onnx"}
    _wait(lambda: both.backend_states()[0].alive)
    assert _whole(both, real_images) == {"torchserve"}
