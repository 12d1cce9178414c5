"""What the demo does: starts the daemon, asks it over gRPC, checks the answers."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path

from explaind.bundles import bundle as bundles
from explaind.cli.versions import default_bundles
from explaind.errors import LaunchFailed
from explaind.service import logging
from explaind.service.server import Server
from explaind.settings import Settings
from explaind.v1.explanation_service_pb2 import ExplainResponse
from explaind.v1.model_service_pb2 import Model
from explaind_client import AnomalyScoreParameters, AsyncClient, LatentRankingParameters, PathMaskParameters

MODEL = "mnist"
IMAGES = {"digit_7.png": "7", "digit_4.png": "4", "digit_3.png": "3", "boot.png": ""}
"""Truth by file: a digit of MNIST's test set, or nothing for what is no digit. From the half not calibrated on."""
STRANGE = 0.01
READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One image of the demo. seconds: from the call to its answer, at the client."""

    name: str
    truth: str
    encoded: bytes
    model: Model
    response: ExplainResponse
    seconds: float


async def run(settings: Settings) -> list[Explained]:
    """Raises BundleInvalid where there is no whole bundle, LaunchFailed where the daemon does not come up."""
    logging.configure(settings)
    for folder in default_bundles(settings.model_store):
        # A daemon waits for a bundle to be mended; the demo has nobody who would.
        await asyncio.to_thread(bundles.load, folder)
    server = Server(settings)
    await server.start()
    try:
        await _ready(server)
        async with AsyncClient(server.address) as client:
            model = await client.get_model(MODEL)
            return [await _explain(client, model, name, truth) for name, truth in IMAGES.items()]
    finally:
        await server.stop()


def failure(explained: Explained) -> str:
    """One sentence where the answer is not what it must be; else nothing."""
    said, p = explained.response.prediction.class_name, explained.response.anomaly_score.p_value
    if explained.truth and said != explained.truth:
        return f"{explained.name} was read as {said}; the bundle is not what it should be."
    if not explained.truth and p > STRANGE:
        return f"{explained.name} is no digit and was not noticed (p = {p:.4f}); the bundle is not what it should be."
    return ""


async def _ready(server: Server) -> None:
    end = time.monotonic() + READY_SECONDS
    while not server.serving:
        if time.monotonic() > end:
            raise LaunchFailed(f"The daemon was not ready within {READY_SECONDS:g} s; its log above says why.")
        await asyncio.sleep(0.02)


async def _explain(client: AsyncClient, model: Model, name: str, truth: str) -> Explained:
    encoded = image_bytes(name)
    start = time.perf_counter()
    response = await client.explain(
        encoded,
        model=model.name,
        latent_ranking=LatentRankingParameters(include_responses=True, include_traversals=True),
        anomaly_score=AnomalyScoreParameters(include_reconstruction=True),
        path_mask=PathMaskParameters(include_path=True),
    )
    seconds = time.perf_counter() - start
    return Explained(name=name, truth=truth, encoded=encoded, model=model, response=response, seconds=seconds)


def image_bytes(name: str) -> bytes:
    with as_file(files("explaind.cli") / "demo_images" / name) as path:
        return Path(path).read_bytes()
