"""TorchServe's /explanations with Captum: one worker, one thread, the classifier that explaind serves.

Its gRPC inference API has no explanations (Ping, Predictions, StreamPredictions), so it is asked over HTTP, on
connections that stay open.
"""

from __future__ import annotations

import http.client
import json
import os
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from safetensors.numpy import load_file, save

from explaind.backends import networks
from explaind.backends.torchserve_configuration import free_ports
from explaind.backends.torchserve_launcher import TorchServe
from tests.benchmarks import processes
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.worker import Stage

NAME = "captum"
CONFIGURATION = (
    "minWorkers: 1\nmaxWorkers: 1\nbatchSize: 1\nmaxBatchDelay: 1\nresponseTimeout: 60\nstartupTimeout: 600\n"
)


@contextmanager
def explaining(store: str) -> Iterator[Stage]:
    """Calls: `explain` and, for what its hop costs, `predict`. CPU time and memory are of Java and its worker."""
    with tempfile.TemporaryDirectory() as folder:
        write_archive(Path(store) / what.MODEL / "1", Path(folder) / f"{NAME}.mar")
        ports = free_ports()
        with TorchServe.launch([Path(folder)], ports=ports):
            bodies = [image.tobytes() for image in what.pixels(what.digits())]
            found = processes.descendants(os.getpid())
            calls = {
                "explain": _posting(ports.inference, f"/explanations/{NAME}", bodies),
                "predict": _posting(ports.inference, f"/predictions/{NAME}", bodies),
            }
            yield Stage(calls, pids=lambda: found)


def write_archive(bundle: Path, path: Path) -> None:
    """The bundle's classifier under a handler with Captum."""
    handler = Path(__file__).with_name("captum_handler.py")
    tables = replace(networks.read(bundle), spaces={}, graphs=())
    kept = {key: value for key, value in load_file(bundle / networks.WEIGHTS).items() if key.startswith("classifier.")}
    model = {"modelName": NAME, "modelVersion": "1", "handler": handler.name, "serializedFile": networks.WEIGHTS}
    manifest = {"runtime": "python", "model": {**model, "configFile": "model-config.yaml"}, "archiverVersion": "0.12.0"}
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("MAR-INF/MANIFEST.json", json.dumps(manifest))
        archive.writestr("model-config.yaml", CONFIGURATION)
        archive.writestr(handler.name, handler.read_bytes())
        archive.writestr(networks.FILE_NAME, networks.text(tables))
        archive.writestr(networks.WEIGHTS, save(kept))


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def post(connection: http.client.HTTPConnection, path: str, body: bytes) -> bytes:
    connection.request("POST", path, body, {"Content-Type": "application/octet-stream"})
    answer = connection.getresponse()
    told = answer.read()
    assert answer.status == 200, f"{path}: {answer.status} {told[:200]!r}"
    return told


def _posting(port: int, path: str, bodies: list[bytes]) -> Callable[[int], int]:
    """A connection for each calling thread."""
    local = threading.local()

    def call(number: int) -> int:
        if not hasattr(local, "connection"):
            local.connection = connect(port)
        post(local.connection, path, bodies[number % len(bodies)])
        return 1

    return call
