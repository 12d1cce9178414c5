"""`explaind demo --torchserve`: one digit in process and through TorchServe: do they agree, what does the hop cost?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import typer
from prometheus_client import CollectorRegistry

from explaind.backends import onnx, torchserve
from explaind.backends.bundle_models import BundleModels
from explaind.backends.torchserve_launcher import TorchServe
from explaind.cli.demo_run import image_bytes
from explaind.cli.tables import print_table
from explaind.cli.versions import highest_version
from explaind.engine import Engine
from explaind.explanations.budget import Budget
from explaind.explanations.types import (
    AnomalyScoreParameters,
    Explanation,
    LatentRankingParameters,
    PathMaskParameters,
)
from explaind.metrics import Metrics
from explaind.requests import ExplanationRequest, ImageInput
from explaind.service import logging
from explaind.settings import Settings

DIGIT = "digit_7.png"
TOP = 5
P_VALUE_DIFFERENCE, MASK_OVERLAP = 1e-3, 0.99
"""What the backends must keep to (DESIGN §4, parity)."""
TURNS = 15

RANKING, ANOMALY, MASK = LatentRankingParameters(), AnomalyScoreParameters(), PathMaskParameters()


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of both backends."""

    what: str
    onnx: str
    torchserve: str
    agreement: str
    agrees: bool


def demo_torchserve(model: Path) -> None:
    """Prints agreement and cost. model: a folder of the model store, as in `model_store/mnist`.

    Exits 1 where the backends disagree. Raises LaunchFailed where TorchServe does not start.
    """
    bundle = model / highest_version(model)
    typer.echo("Starting TorchServe; this takes some seconds.", err=True)
    with TorchServe.launch([bundle]) as server, _both(bundle, server) as (engines, models):
        request = _request(model.name, bundle.name)
        rows = agreement(*(engine.explain(request, Budget()) for engine in engines))
        print_table(
            f"{DIGIT}: the same answer from both?",
            ("", "onnx", "torchserve", "agreement"),
            [(row.what, row.onnx, row.torchserve, f"{'✓' if row.agrees else '✗'} {row.agreement}") for row in rows],
        )
        _print_cost(_calls(engines, models, request))
    if not all(row.agrees for row in rows):
        raise typer.Exit(1)


@contextmanager
def _both(bundle: Path, server: TorchServe) -> Iterator[tuple[list[Engine], list[BundleModels]]]:
    """An engine and the bare models of each backend: onnx first."""
    remote = {"torchserve_address": server.grpc_address, "torchserve_management": server.management_address}
    engines = [_engine(bundle, "onnx", {}), _engine(bundle, "torchserve", remote)]
    models = [onnx.open_bundle(bundle, threads=1), torchserve.open_bundle(bundle, address=server.grpc_address)]
    try:
        yield engines, models
    finally:
        for engine in engines:
            engine.close()
        for each in models:
            each.close()


def _engine(bundle: Path, backend: str, addresses: Mapping[str, str]) -> Engine:
    store = bundle.parent.parent
    values = {"model_store": store, "backends": (backend,), "reload_seconds": 0, "log_level": "warning", **addresses}
    settings = Settings.model_validate(values)
    logging.configure(settings)
    engine = Engine.open(settings, Metrics(CollectorRegistry()))
    engine.warm()
    return engine


def _request(model: str, version: str, **asked: object) -> ExplanationRequest:
    everything = {"latent_ranking": RANKING, "anomaly_score": ANOMALY, "path_mask": MASK}
    image = ImageInput(encoded=image_bytes(DIGIT))
    return ExplanationRequest(model=model, version=version, image=image, **(asked or everything))  # type: ignore[arg-type]


def agreement(ours: Explanation, theirs: Explanation) -> list[Row]:
    """Class, top latents, p-value and mask of two complete explanations of one image."""
    return [each(ours, theirs) for each in (_class, _latents, _p_values, _masks)]


def _class(ours: Explanation, theirs: Explanation) -> Row:
    same = ours.prediction.class_index == theirs.prediction.class_index
    return Row("class", _class_name(ours), _class_name(theirs), _sameness(same), same)


def _class_name(explanation: Explanation) -> str:
    prediction = explanation.prediction
    return f"{explanation.class_names[prediction.class_index]} ({prediction.probability:.4f})"


def _latents(ours: Explanation, theirs: Explanation) -> Row:
    a, b = ", ".join(_top_labels(ours)), ", ".join(_top_labels(theirs))
    return Row(f"top {TOP} latents", a, b, _sameness(a == b), a == b)


def _top_labels(explanation: Explanation) -> list[str]:
    assert explanation.latent_ranking is not None
    return [latent.factor.label for latent in explanation.latent_ranking.latents[:TOP]]


def _sameness(same: bool) -> str:
    return "same" if same else "different"


def _p_values(ours: Explanation, theirs: Explanation) -> Row:
    assert ours.anomaly is not None and theirs.anomaly is not None
    a, b = float(ours.anomaly.p_values[0]), float(theirs.anomaly.p_values[0])
    return Row("p-value", f"{a:.4f}", f"{b:.4f}", f"difference {abs(a - b):.1e}", abs(a - b) <= P_VALUE_DIFFERENCE)


def _masks(ours: Explanation, theirs: Explanation) -> Row:
    assert ours.path_mask is not None and theirs.path_mask is not None
    a, b = ours.path_mask.mask > 0.5, theirs.path_mask.mask > 0.5
    union = int((a | b).sum())
    overlap = int((a & b).sum()) / union if union else 1.0
    return Row(
        "path mask", f"{int(a.sum())} pixels", f"{int(b.sum())} pixels", f"IoU {overlap:.4f}", overlap >= MASK_OVERLAP
    )


def _calls(
    engines: Sequence[Engine], models: Sequence[BundleModels], request: ExplanationRequest
) -> dict[str, list[Callable[[], object]]]:
    """What is timed, by name: the same thing with each backend."""
    image = np.zeros((1, *engines[0].describe(request.model, request.version).image_shape), np.float32)
    asked: Mapping[str, Mapping[str, object]] = {
        "latent ranking": {"latent_ranking": RANKING},
        "anomaly score": {"anomaly_score": ANOMALY},
        "path mask": {"path_mask": MASK},
        "all three": {},
    }
    calls: dict[str, list[Callable[[], object]]] = {
        "one call: logits of one image": [lambda m=each: m.classifier.logits(image) for each in models]  # type: ignore[misc]
    }
    for name, parameters in asked.items():
        one = _request(request.model, request.version, **parameters)
        calls[name] = [lambda e=engine, r=one: e.explain(r, Budget()) for engine in engines]  # type: ignore[misc]
    return calls


def _print_cost(calls: Mapping[str, Sequence[Callable[[], object]]]) -> None:
    rows = []
    for name, pair in calls.items():
        local, remote = _median_ms(pair)
        rows.append((name, f"{local:.2f}", f"{remote:.2f}", f"+{remote - local:.2f}"))
    print_table(
        f"What the hop costs: median of {TURNS} in turns, ms", ("", "onnx", "torchserve", "the hop's part"), rows
    )


def _median_ms(pair: Sequence[Callable[[], object]]) -> list[float]:
    """In turns, so that what else the machine does falls on both."""
    seconds: list[list[float]] = [[] for _ in pair]
    for turn in range(TURNS + 1):
        for call, spent in zip(pair, seconds, strict=True):
            started = time.perf_counter()
            call()
            if turn:  # the first is a warm-up
                spent.append(time.perf_counter() - started)
    return [1e3 * float(np.median(spent)) for spent in seconds]
