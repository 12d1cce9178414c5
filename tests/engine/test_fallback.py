"""A backend that dies, recovers, or is not there yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from explaind.engine import Engine
from explaind.errors import BackendUnavailable, ConfigurationError, ModelLoading
from explaind.explanations.budget import Budget
from explaind.explanations.types import AnomalyScoreParameters, LatentRankingParameters
from explaind.requests import ExplanationRequest, ImageInput
from tests.switched_backend import Switch

RANKING, SCORE = LatentRankingParameters(), AnomalyScoreParameters()


def _sample(engine: Engine, name: str, **labels: str) -> float:
    return engine.metrics.registry.get_sample_value(name, labels) or 0.0


def test_a_backend_that_dies_hands_the_whole_explanation_on(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    first = Switch("torchserve")
    engine = open_engine(store, first, Switch("onnx"))
    engine.warm()
    first.on = False
    request = ExplanationRequest(model="mnist", image=digit, latent_ranking=RANKING, anomaly_score=SCORE)
    answer = engine.explain(request, Budget())
    assert {timing.backend for timing in answer.timings} == {"", "onnx"}
    labels = {"from": "torchserve", "to": "onnx", "reason": "worker_died"}
    assert _sample(engine, "explaind_backend_fallback_total", **labels) == 1
    assert [(state.name, state.alive) for state in engine.backend_states()] == [("torchserve", False), ("onnx", True)]


def test_a_backend_that_recovers_is_found_by_itself(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    switch = Switch()
    engine = open_engine(store, switch)
    engine.warm()
    switch.on = False
    with pytest.raises(BackendUnavailable) as caught:
        engine.explain(ExplanationRequest(model="mnist", image=digit), Budget())
    assert caught.value.retry_after > 0
    switch.on = True
    until = time.monotonic() + 30
    while not engine.backend_states()[0].alive and time.monotonic() < until:
        time.sleep(0.05)
    engine.explain(ExplanationRequest(model="mnist", image=digit), Budget())


def test_until_a_backend_lives_the_engine_is_not_warm(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    switch = Switch(opens=False)
    engine = open_engine(store, switch)
    with pytest.raises(ModelLoading):
        engine.explain(ExplanationRequest(model="mnist", image=digit), Budget())
    with pytest.raises(BackendUnavailable):
        engine.warm()
    assert not engine.backend_states()[0].alive
    switch.opens = True
    engine.warm()
    assert engine.backend_states()[0].alive


def test_a_bundle_for_other_backends_says_which(open_engine: Callable[..., Engine], store: Path) -> None:
    with pytest.raises(ConfigurationError, match="for the backends onnx, torchserve, torch, configured are tensorrt"):
        open_engine(store, Switch("tensorrt")).warm()
