"""Versions that come and go, and files that are not what they should be."""

from __future__ import annotations

import dataclasses
import os
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from explaind.bundles import manifest
from explaind.engine import Engine
from explaind.errors import BundleInvalid, ConfigurationError, ModelNotFound
from explaind.explanations.budget import Budget
from explaind.explanations.types import AnomalyScoreParameters, PathMaskParameters
from explaind.metrics import Metrics
from explaind.requests import ExplanationRequest, ImageInput
from explaind.settings import Settings

SCORE, MASK = AnomalyScoreParameters(), PathMaskParameters()


def test_stores_that_cannot_be_served(open_engine: Callable[..., Engine], own_store: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is no folder: name one with --model-store"):
        Engine.open(Settings(model_store=tmp_path / "no"), Metrics(CollectorRegistry()))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match="holds no bundle: build one with `explaind train`"):
        open_engine(tmp_path / "empty").warm()
    with pytest.raises(ConfigurationError, match="has no model fashion: look at the names with `explaind models`"):
        open_engine(own_store, models=("mnist", "fashion")).warm()
    (own_store / "mnist/1/classifier.onnx").write_bytes(b"altered")
    with pytest.raises(BundleInvalid, match=r"classifier\.onnx was altered"):
        open_engine(own_store).warm()


def _copy(store: Path, version: str) -> Path:
    """Another version of the same content, in place at once."""
    hidden = store / "mnist" / f".{version}"
    shutil.copytree(store / "mnist/1", hidden)
    folder = store / "mnist" / version
    described = manifest.read(hidden)
    files = {path.name: manifest.file_digest(path) for path in hidden.iterdir() if path.name != manifest.FILE_NAME}
    manifest.save(hidden, described.model_copy(update={"files": files, "version": version}))
    return hidden.rename(folder)


def test_a_new_version_is_served_while_requests_go_on_and_goes_when_removed(
    open_engine: Callable[..., Engine], own_store: Path, digit: ImageInput
) -> None:
    engine = open_engine(own_store, reload_seconds=0.05)
    engine.warm()
    request = ExplanationRequest(model="mnist", image=digit, anomaly_score=SCORE)
    seen: set[str] = set()
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            seen.add(engine.explain(request, Budget()).model_version)

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(ask)
        new = _copy(own_store, "2")
        _wait(lambda: "2" in seen)
        shutil.rmtree(new)
        _wait(lambda: engine.list_models()[0].versions == ("1",))
        stop.set()
        asking.result(30)
    assert engine.explain(request, Budget()).model_version == "1"


def test_a_broken_new_version_leaves_the_old_one(
    open_engine: Callable[..., Engine], own_store: Path, digit: ImageInput
) -> None:
    engine = open_engine(own_store)
    engine.warm()
    (_copy(own_store, "2") / "reference.npz").write_bytes(b"half")
    engine.warm()
    request = ExplanationRequest(model="mnist", image=digit)
    assert engine.explain(request, Budget()).model_version == "1"
    with pytest.raises(ModelNotFound, match="it has 1"):
        engine.explain(dataclasses.replace(request, version="2"), Budget())


def test_files_cut_short_while_they_are_served_do_no_harm(
    open_engine: Callable[..., Engine], own_store: Path, digit: ImageInput
) -> None:
    engine = open_engine(own_store)
    engine.warm()
    request = ExplanationRequest(model="mnist", image=digit, anomaly_score=SCORE, path_mask=MASK)
    before = engine.explain(request, Budget())
    for path in (own_store / "mnist/1").iterdir():
        os.truncate(path, 10)
    engine.warm()
    after = engine.explain(request, Budget())
    assert after.prediction.probability == before.prediction.probability
    assert after.bundle_digest == before.bundle_digest


def _wait(until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not until():
        assert time.monotonic() < deadline
        time.sleep(0.02)
