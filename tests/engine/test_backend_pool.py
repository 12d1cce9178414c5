"""Backends in order: who fails is out, the next serves all of it, who recovers is in again."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from explaind.backends.bundle_models import BundleModels
from explaind.engine.backend_pool import BackendPool, openers
from explaind.errors import BackendUnavailable, BundleInvalid, ConfigurationError
from explaind.metrics import Metrics
from explaind.settings import Settings
from tests.switched_backend import Switch

BLACK = np.zeros((1, 1, 28, 28), np.float32)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(CollectorRegistry())


@pytest.fixture
def folder(store: Path) -> Path:
    return store / "mnist/1"


def _classify(models: BundleModels) -> str:
    models.classifier.logits(BLACK)
    return models.backend


def _pool(folder: Path, metrics: Metrics, *switches: Switch) -> BackendPool:
    return BackendPool(folder, {switch.name: switch.open_bundle for switch in switches}, metrics, _classify)


def _fallbacks(metrics: Metrics, failed: str, to: str, reason: str) -> float | None:
    labels = {"from": failed, "to": to, "reason": reason}
    return metrics.registry.get_sample_value("explaind_backend_fallback_total", labels)


def test_the_first_serves(folder: Path, metrics: Metrics) -> None:
    pool = _pool(folder, metrics, Switch("onnx"), Switch("torch"))
    assert pool.alive() == ("onnx", "torch")
    assert pool.run(_classify) == "onnx"


def test_who_fails_is_out_and_the_next_serves_from_the_start(folder: Path, metrics: Metrics) -> None:
    first, second = Switch("onnx"), Switch("torch")
    pool = _pool(folder, metrics, first, second)
    first.on, first.calls = False, 0
    assert [pool.run(_classify) for _ in range(3)] == ["torch"] * 3
    assert first.calls == 1, "one that is out is not asked again"
    assert _fallbacks(metrics, "onnx", "torch", "worker_died") == 1
    assert [(state.alive, state.detail) for state in pool.states()] == [(False, "onnx died"), (True, "")]


def test_who_recovers_is_in_again_at_its_old_place(folder: Path, metrics: Metrics) -> None:
    first = Switch("onnx")
    pool = _pool(folder, metrics, first, Switch("torch"))
    first.on = False
    pool.run(_classify)
    pool.check()
    assert pool.alive() == ("torch",)
    first.on = True
    pool.check()
    assert pool.run(_classify) == "onnx"


def test_with_nobody_left_the_caller_is_told_when_to_try_again(folder: Path, metrics: Metrics) -> None:
    only = Switch()
    pool = _pool(folder, metrics, only)
    only.on = False
    for _ in range(2):
        with pytest.raises(BackendUnavailable, match=r"onnx.*try again") as caught:
            pool.run(_classify)
        assert caught.value.retry_after > 0
        assert caught.value.metadata == {"backends": "onnx"}


def test_one_that_is_not_up_yet_comes_in_later(folder: Path, metrics: Metrics) -> None:
    late = Switch("torchserve", opens=False)
    pool = _pool(folder, metrics, Switch("onnx"), late)
    assert pool.alive() == ("onnx",)
    late.opens = True
    pool.check()
    assert pool.alive() == ("onnx", "torchserve")


def test_without_any_the_pool_does_not_open(folder: Path, metrics: Metrics) -> None:
    with pytest.raises(BackendUnavailable):
        _pool(folder, metrics, Switch(opens=False))


def test_a_remote_one_that_dies_unasked_is_found_out(folder: Path, metrics: Metrics) -> None:
    local, remote = Switch("onnx"), Switch("torchserve")
    pool = _pool(folder, metrics, local, remote)
    local.calls = 0
    remote.on = False
    pool.check()
    assert pool.alive() == ("onnx",)
    assert local.calls == 0, "what is in this process needs no looking after"


def test_a_damaged_bundle_is_nobodys_backend(own_store: Path, metrics: Metrics) -> None:
    folder = own_store / "mnist/1"
    (folder / "networks.json").write_text("{}")
    with pytest.raises(BundleInvalid, match=r"networks\.json"):
        _pool(folder, metrics, Switch())


def test_files_damaged_later_do_not_close_what_is_open(own_store: Path, metrics: Metrics) -> None:
    first = Switch("onnx")
    pool = _pool(own_store / "mnist/1", metrics, first, Switch("torch"))
    first.on = False
    pool.run(_classify)
    (own_store / "mnist/1/probe.npz").unlink()
    pool.check()
    assert pool.alive() == ("torch",)
    assert "probe.npz" in pool.states()[0].detail


def test_each_leaves_out_who_fails(folder: Path, metrics: Metrics) -> None:
    first, second = Switch("onnx"), Switch("torch")
    pool = _pool(folder, metrics, first, second)
    first.on = False
    pool.each(_classify)
    assert pool.alive() == ("torch",)
    second.on = False
    with pytest.raises(BackendUnavailable):
        pool.each(_classify)


def test_other_errors_are_the_requests_own(folder: Path, metrics: Metrics) -> None:
    pool = _pool(folder, metrics, Switch("onnx"), Switch("torch"))

    def bug(models: BundleModels) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        pool.run(bug)
    assert pool.alive() == ("onnx", "torch")


def test_what_was_opened_is_closed_once_by_close_or_with_the_last_holder(folder: Path, metrics: Metrics) -> None:
    switch = Switch()
    pool = _pool(folder, metrics, switch)
    pool.close()
    pool.close()
    assert switch.closed == 1
    pool = _pool(folder, metrics, switch)
    held = pool
    del pool
    gc.collect()
    assert switch.closed == 1
    del held
    gc.collect()
    assert switch.closed == 2


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        (Settings(backends=("tensorrt",)), r"no backend 'tensorrt': choose of onnx"),
        (Settings(backends=()), "No backend is configured"),
        (Settings(backends=("torchserve",)), "TORCHSERVE_ADDRESS"),
    ],
)
def test_configurations_that_cannot_be(settings: Settings, match: str) -> None:
    with pytest.raises(ConfigurationError, match=match):
        openers(settings)


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_by_default_neither_torch_nor_sklearn_is_imported(store: Path) -> None:
    found = _python(
        "import sys\n"
        "from pathlib import Path\n"
        "from prometheus_client import CollectorRegistry\n"
        "from explaind.engine import Engine\n"
        "from explaind.metrics import Metrics\n"
        "from explaind.settings import Settings\n"
        f"engine = Engine.open(Settings(model_store=Path({str(store)!r})), Metrics(CollectorRegistry()))\n"
        "engine.warm()\n"
        "engine.close()\n"
        "print(sorted({'torch', 'sklearn', 'scipy', 'grpc', 'matplotlib'} & sys.modules.keys()))\n"
    )
    assert found.splitlines()[-1] == "[]"


def test_a_backend_that_is_not_installed_names_its_extra() -> None:
    said = _python(
        "import sys\n"
        "sys.modules['torch'] = None\n"
        "from explaind.engine.backend_pool import openers\n"
        "from explaind.errors import ConfigurationError\n"
        "from explaind.settings import Settings\n"
        "try:\n"
        "    openers(Settings(backends=('torch',)))\n"
        "except ConfigurationError as error:\n"
        "    print(error)\n"
    )
    assert said == "The backend torch needs torch: pip install 'explaind[train]'."
