"""Graphs on a CUDA device, recorded for some batch sizes: the CPU's answers for every one, from any thread."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from explaind.backends import devices, networks, onnx, onnx_cuda, onnx_sessions
from explaind.backends.arrays import CHUNK_ROWS
from explaind.backends.bundle_models import BundleModels
from explaind.backends.onnx_cuda import LaunchedSession, RecordedSession, open_session
from explaind.backends.onnx_sessions import Session
from explaind.errors import BackendUnavailable, BundleInvalid
from tests.untrained_bundle import CLASSES, IMAGE_SHAPE, images

CLOSE = 1e-4


@pytest.fixture(scope="module")
def needs_a_device() -> None:
    if not devices.cuda_devices():
        pytest.skip("the driver shows no CUDA device")


@pytest.fixture(scope="module")
def on_cpu(untrained_bundle: Path) -> BundleModels:
    return onnx.open_bundle(untrained_bundle, threads=1, device="cpu")


@pytest.fixture(scope="module")
def on_device(needs_a_device: None, untrained_bundle: Path) -> BundleModels:
    return onnx.open_bundle(untrained_bundle, threads=1, device="cuda")


def _open(folder: Path, device: devices.Device) -> Session:
    weights = (folder / networks.WEIGHTS).read_bytes()
    return open_session(folder / networks.CLASSIFIER_GRAPH, weights=weights, threads=1, device=device)


def _gradient(models: BundleModels, rows: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    assert models.classifier_gradient is not None
    random = np.random.default_rng(seed)
    weights = random.standard_normal((rows, CLASSES)).astype(np.float32)
    pictures = random.random((rows, *IMAGE_SHAPE), dtype=np.float32)
    return models.classifier_gradient.probability_gradient(pictures, weights)


def test_on_the_cpu_no_call_waits_for_another(untrained_bundle: Path) -> None:
    assert type(_open(untrained_bundle, "cpu")) is Session


def test_without_a_device_cuda_is_refused(untrained_bundle: Path) -> None:
    if devices.cuda_devices():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(BackendUnavailable, match="shows no device"):
        _open(untrained_bundle, "cuda")


@pytest.mark.parametrize("opening", [onnx_cuda.RecordedSession, LaunchedSession])
def test_a_graph_without_a_file_is_what_is_opened(
    opening: type[Session], untrained_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no device it opens on the CPU, and is not recorded."""
    if devices.cuda_devices():
        pytest.skip("this machine has a CUDA device")
    monkeypatch.setattr(onnx_sessions, "providers", lambda *_: ["CPUExecutionProvider"])
    content = (untrained_bundle / networks.CLASSIFIER_GRAPH).read_bytes()
    weights = (untrained_bundle / networks.WEIGHTS).read_bytes()
    if opening is RecordedSession:
        with pytest.raises(BackendUnavailable, match="no CUDA libraries"):
            RecordedSession(tmp_path / "joined.onnx", weights=weights, threads=1, graph=content)
    else:
        assert LaunchedSession(tmp_path / "joined.onnx", weights=weights, threads=1, graph=content).device == "CPU"


def test_the_largest_recording_holds_what_a_backend_computes_at_once() -> None:
    assert onnx_cuda.ROWS[-1] == CHUNK_ROWS and list(onnx_cuda.ROWS) == sorted(onnx_cuda.ROWS)


@pytest.mark.gpu
@pytest.mark.usefixtures("needs_a_device")
def test_a_damaged_graph_is_the_bundles_fault_on_a_device_too(untrained_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / networks.WEIGHTS).write_bytes((untrained_bundle / networks.WEIGHTS).read_bytes())
    (tmp_path / networks.CLASSIFIER_GRAPH).write_bytes(b"no graph")
    with pytest.raises(BundleInvalid, match=networks.CLASSIFIER_GRAPH):
        _open(tmp_path, "cuda")


@pytest.mark.gpu
@pytest.mark.usefixtures("needs_a_device")
@pytest.mark.parametrize("rows", [1, 2, 3, 5, 8, 100, CHUNK_ROWS, CHUNK_ROWS + 1, 3 * CHUNK_ROWS + 5])
def test_any_number_of_rows_gets_the_cpus_answers(on_device: BundleModels, on_cpu: BundleModels, rows: int) -> None:
    for seed in range(2):  # the second finds the first one's rows on the device
        for ours, theirs in zip(_gradient(on_device, rows, seed), _gradient(on_cpu, rows, seed), strict=True):
            np.testing.assert_allclose(ours, theirs, atol=CLOSE)


@pytest.mark.gpu
@pytest.mark.usefixtures("needs_a_device")
def test_every_graph_of_a_bundle_of_ours_is_recorded(untrained_bundle: Path) -> None:
    assert type(_open(untrained_bundle, "cuda")) is RecordedSession
    assert type(_open(untrained_bundle, "auto")) is RecordedSession


@pytest.mark.gpu
@pytest.mark.usefixtures("needs_a_device")
def test_an_anomaly_score_is_computed_of_parts_that_are_all_recorded(on_device: BundleModels) -> None:
    assert on_device.scorers == {}


@pytest.mark.gpu
@pytest.mark.usefixtures("needs_a_device")
def test_threads_do_not_see_each_others_rows(on_device: BundleModels, on_cpu: BundleModels) -> None:
    pictures = [images(1 + number % 9) * (0.2 + 0.1 * (number % 8)) for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(on_device.classifier.logits, pictures))
    for ours, picture in zip(answers, pictures, strict=True):
        np.testing.assert_allclose(ours, on_cpu.classifier.logits(picture), atol=CLOSE)


@pytest.mark.gpu
@pytest.mark.usefixtures("needs_a_device")
def test_an_answer_stays_when_the_next_call_comes(on_device: BundleModels) -> None:
    first = on_device.classifier.logits(images(4))
    kept = first.copy()
    on_device.classifier.logits(1 - images(4))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.gpu
@pytest.mark.usefixtures("needs_a_device")
def test_a_poisoned_row_harms_no_other_and_is_not_left_behind(on_device: BundleModels, on_cpu: BundleModels) -> None:
    poisoned = images(4)
    poisoned[2] = np.nan
    on_device.classifier.logits(poisoned)
    np.testing.assert_allclose(on_device.classifier.logits(images(3)), on_cpu.classifier.logits(images(3)), atol=CLOSE)


@pytest.mark.gpu
@pytest.mark.usefixtures("needs_a_device")
def test_a_graph_with_a_part_for_the_cpu_is_launched_and_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 2, 2])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch"])]
    graph = helper.make_graph([helper.make_node("Det", ["x"], ["y"])], "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    (tmp_path / "det.onnx").write_bytes(model.SerializeToString())
    with caplog.at_level(logging.WARNING):
        session = open_session(tmp_path / "det.onnx", weights=b"", threads=1, device="cuda")
    assert type(session) is LaunchedSession and "is not recorded" in caplog.text
    (determinants,) = session.run(np.array([[[1, 2], [3, 4]], [[2, 0], [0, 2]]], np.float32))
    np.testing.assert_allclose(determinants, [-2, 4], atol=1e-5)
