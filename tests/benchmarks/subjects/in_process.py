"""An engine in the worker's own process, over one backend: no port, no queue."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from explaind.engine import Engine
from explaind.engine.backend_pool import RETRY_SECONDS
from explaind.errors import BackendUnavailable
from explaind.explanations.budget import Budget
from explaind.explanations.types import AnomalyScoreParameters
from explaind.metrics import Metrics
from explaind.requests import ExplanationRequest, ImageInput, ScoreRequest
from explaind.service import logging
from explaind.settings import Settings
from tests.benchmarks import processes
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.worker import Call, Stage

ATTEMPTS = 10
ONE_THREAD: Mapping[str, int] = {"spread_rows": 0}
"""Settings with which one request computes with one thread, whatever cores are idle. Trees without it ignore it."""


@contextmanager
def explaining(
    store: str,
    backend: str = "onnx",
    names: Sequence[str] = tuple(what.ASKED),
    batches: Sequence[int] = (),
    one_thread: bool = False,
    device: str = "auto",
) -> Iterator[Stage]:
    """Calls: the names of `asked.ASKED`, and `score N` for each size of `batches`. TorchServe is started for it.
    one_thread: a call is not spread over idle cores."""
    chosen = {"device": device, **(ONE_THREAD if one_thread else {})}
    with launched(store, backend) as remote, opened(Path(store), backend, **remote, **chosen) as engine:
        images = what.pixels(what.digits())
        calls: dict[str, Call] = {name: _explain(engine, name, images) for name in names}
        calls |= {f"score {size}": _score(engine, size) for size in batches}
        yield Stage(calls, pids=_pids())


@contextmanager
def opened(store: Path, backend: str, **settings: Any) -> Iterator[Engine]:
    """Warm."""
    chosen = Settings(model_store=store, backends=(backend,), reload_seconds=0, log_level="error", **settings)
    logging.configure(chosen)
    engine = Engine.open(chosen, Metrics(CollectorRegistry()))
    engine.warm()
    try:
        yield engine
    finally:
        engine.close()


@contextmanager
def launched(store: str, backend: str) -> Iterator[dict[str, str]]:
    """The settings that name a TorchServe of its own, where the backend is that; nothing otherwise."""
    if backend != "torchserve":
        yield {}
        return
    from explaind.backends.torchserve_launcher import TorchServe

    with TorchServe.launch([Path(store) / what.MODEL / "1"]) as server:
        yield {"torchserve_address": server.grpc_address, "torchserve_management": server.management_address}


def _explain(engine: Engine, name: str, images: np.ndarray[Any, Any]) -> Call:
    requests = [what.engine_request(name, image) for image in images]

    def call(number: int) -> int:
        _patiently(engine, requests[number % len(requests)])
        return 1

    return call


def _patiently(engine: Engine, request: ExplanationRequest) -> None:
    """A remote backend that was late once is out until it is looked at again; a caller waits, and so does this call."""
    for attempt in range(ATTEMPTS):
        try:
            engine.explain(request, Budget())
            return
        except BackendUnavailable:
            if attempt == ATTEMPTS - 1:
                raise
            time.sleep(RETRY_SECONDS)


def _score(engine: Engine, size: int) -> Call:
    inputs = tuple(ImageInput(array=image) for image in what.pixels(what.digits(size)))
    request = ScoreRequest(model=what.MODEL, images=inputs, parameters=AnomalyScoreParameters())

    def call(_: int) -> int:
        engine.score(request, Budget())
        return size

    return call


def _pids() -> Callable[[], tuple[int, ...]]:
    """This process and, for TorchServe, Java and its workers."""
    found = (os.getpid(), *processes.descendants(os.getpid()))
    return lambda: found
