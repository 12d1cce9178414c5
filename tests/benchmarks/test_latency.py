"""`make bench`: how long each explanation takes, in process, over gRPC and through TorchServe, in turns in one run.

These machines share their cores: compare columns of one run, not runs. Nothing here asserts a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from rich.console import Console
from rich.table import Table

from explaind.backends.torchserve_launcher import TorchServe
from explaind.engine import Engine
from explaind.explanations.budget import Budget
from explaind.explanations.types import AnomalyScoreParameters, LatentRankingParameters, PathMaskParameters, Solver
from explaind.metrics import Metrics
from explaind.requests import ExplanationRequest, ImageInput
from explaind.service import logging
from explaind.settings import Settings
from explaind_client import Client
from tests.served import serving

ROOT = Path(__file__).parents[2]
STORE = ROOT / "model_store"
TURNS = 200
WARM_UP = 10
Call = Callable[[np.ndarray[Any, Any]], object]

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

ASKED: Mapping[str, Mapping[str, Any]] = {
    "prediction": {},
    "latent ranking": {"latent_ranking": LatentRankingParameters()},
    "anomaly score": {"anomaly_score": AnomalyScoreParameters()},
    "path mask": {"path_mask": PathMaskParameters()},
    "all three": {
        "latent_ranking": LatentRankingParameters(),
        "anomaly_score": AnomalyScoreParameters(),
        "path_mask": PathMaskParameters(),
    },
}


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    """The table, not a line for each of its calls."""
    logging.configure(Settings(log_level="error"))


@pytest.fixture(scope="module")
def digits() -> np.ndarray[Any, Any]:
    with np.load(ROOT / "tests/data/images.npz") as data:
        return data["mnist"].astype(np.float32)[:, None] / 255


@pytest.fixture(scope="module")
def fronts() -> Iterator[Mapping[str, Callable[[Mapping[str, Any]], Call]]]:
    with ExitStack() as stack:
        local = _engine(stack, Settings(model_store=STORE, backends=("onnx",)))
        torchserve = stack.enter_context(TorchServe.launch([STORE / "mnist" / "1"]))
        hop = Settings(model_store=STORE, backends=("torchserve",), torchserve_address=torchserve.grpc_address)
        remote = _engine(stack, hop)
        server = stack.enter_context(serving(Settings(port=0, metrics_port=0, model_store=STORE)))
        client = stack.enter_context(Client(server.address))
        yield {
            "in process": lambda asked: _engine_call(local, asked),
            "gRPC": lambda asked: _client_call(client, asked),
            "TorchServe": lambda asked: _engine_call(remote, asked),
        }


def test_latency_of_each_explanation(
    fronts: Mapping[str, Callable[[Mapping[str, Any]], Call]], digits: np.ndarray[Any, Any]
) -> None:
    table = Table(title=f"Latency of one digit, ms, {TURNS} turns (TorchServe {TURNS // 4})")
    for heading in ("explanation", "front", "p50", "p95", "p99"):
        table.add_column(heading, justify="left" if heading in ("explanation", "front") else "right")
    for explanation, asked in ASKED.items():
        calls = {name: front(asked) for name, front in fronts.items()}
        for name, seconds in _in_turns(calls, digits, rare={"TorchServe"}).items():
            table.add_row(explanation, name, *(f"{1e3 * np.percentile(seconds, q):.2f}" for q in (50, 95, 99)))
        table.add_section()
    Console(width=100).print(table)


def test_latency_of_the_sources_own_solvers(digits: np.ndarray[Any, Any]) -> None:
    """FAST beside REFERENCE on the same backend, morph and mask together."""
    table = Table(title="Path mask, morphing included, seconds a digit, in turns, ONNX, one thread")
    for heading in ("solver", "median", "least", "most"):
        table.add_column(heading, justify="left" if heading == "solver" else "right")
    with ExitStack() as stack:
        engine = _engine(stack, Settings(model_store=STORE, backends=("onnx",)))
        solvers = {s.value: _engine_call(engine, {"path_mask": PathMaskParameters(solver=s)}) for s in Solver}
        solvers["fast"](digits[0])
        times = {name: [_timed(call, digits[turn]) for turn in range(5)] for name, call in solvers.items()}
    for name, seconds in times.items():
        table.add_row(name, *(f"{value:.4f}" for value in (np.median(seconds), min(seconds), max(seconds))))
    table.add_row("ratio of medians", f"{np.median(times['reference']) / np.median(times['fast']):.0f}", "", "")
    Console(width=100).print(table)


def _engine(stack: ExitStack, settings: Settings) -> Engine:
    engine = Engine.open(settings, Metrics(CollectorRegistry()))
    stack.callback(engine.close)
    engine.warm()
    return engine


def _engine_call(engine: Engine, asked: Mapping[str, Any]) -> Call:
    def call(image: np.ndarray[Any, Any]) -> object:
        return engine.explain(ExplanationRequest(model="mnist", image=ImageInput(array=image), **asked), Budget())

    return call


def _client_call(client: Client, asked: Mapping[str, Any]) -> Call:
    wanted = dict.fromkeys(asked, True)
    return lambda image: client.explain(image, model="mnist", **wanted)


def _in_turns(calls: Mapping[str, Call], digits: np.ndarray[Any, Any], *, rare: set[str]) -> dict[str, list[float]]:
    """Every front once a turn, so that the machine's mood falls on all alike; the rare ones every fourth."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(-WARM_UP, TURNS):
        for name, call in calls.items():
            if name in rare and turn % 4:
                continue
            taken = _timed(call, digits[turn % len(digits)])
            if turn >= 0:
                seconds[name].append(taken)
    return seconds


def _timed(call: Call, image: np.ndarray[Any, Any]) -> float:
    start = time.perf_counter()
    call(image)
    return time.perf_counter() - start
