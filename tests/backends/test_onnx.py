"""The onnx backend: the same answers as PyTorch, no torch in the process, and foreign failures made ours."""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from onnxruntime.capi import onnxruntime_pybind11_state as foreign

from explaind.backends import arrays, devices, networks, onnx, onnx_sessions, probe
from explaind.backends import torch as torch_backend
from explaind.backends.bundle_models import BundleModels
from explaind.errors import BackendUnavailable, BundleInvalid, ShapeMismatch
from tests.untrained_bundle import CLASSES, IMAGE_SHAPE, LATENTS, images


@pytest.fixture(scope="module")
def models(untrained_bundle: Path) -> BundleModels:
    return onnx.open_bundle(untrained_bundle, threads=1, device="cpu")


@pytest.fixture
def damaged(untrained_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(untrained_bundle, tmp_path / "1"))


@pytest.mark.parametrize("batch", [1, 7, arrays.CHUNK_ROWS + 3])
def test_every_graph_agrees_with_pytorch_at_any_batch(models: BundleModels, untrained_bundle: Path, batch: int) -> None:
    pytorch = torch_backend.open_bundle(untrained_bundle, threads=1)
    asked = probe.questions(pytorch, images(batch, seed=2), CLASSES)
    found, expected = probe.answers(models, asked), probe.answers(pytorch, asked)
    assert found.keys() == expected.keys() and len(found) == 8
    for name, array in found.items():
        assert array.dtype == np.float32 and array.flags.c_contiguous
        assert array.shape == expected[name].shape and len(array) == batch
        np.testing.assert_allclose(array, expected[name], atol=1e-6, err_msg=name)


def test_gradients_are_not_trivially_zero(models: BundleModels) -> None:
    assert models.classifier_gradient is not None
    weights = np.eye(CLASSES, dtype=np.float32)
    gradient, p = models.classifier_gradient.probability_gradient(images(CLASSES), weights)
    assert np.abs(gradient).max() > 1e-4
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-6)
    gradient, _ = models.morph_gradients["morphing"].logit_gradient(np.ones((CLASSES, LATENTS), np.float32), weights)
    assert np.abs(gradient).max() > 1e-4


def test_importing_and_serving_needs_no_torch(untrained_bundle: Path) -> None:
    program = (
        "import sys, pathlib; from explaind.backends import onnx, probe\n"
        f"folder = pathlib.Path({str(untrained_bundle)!r})\n"
        "probe.verify_probe(onnx.open_bundle(folder, threads=1, device='cpu'), folder)\n"
        "print(sorted({'torch', 'onnx', 'grpc'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == "[]"


def test_threads_share_the_sessions(models: BundleModels) -> None:
    inputs = [images(1 + i % 5, seed=i) for i in range(40)]
    alone = [models.classifier.logits(batch) for batch in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(models.classifier.logits, inputs))
    for expected, found in zip(alone, together, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_other_layouts_and_types_are_taken(models: BundleModels) -> None:
    batch = images(2)
    turned = np.asfortranarray(batch.astype(np.float64))
    np.testing.assert_array_equal(models.classifier.logits(turned), models.classifier.logits(batch))  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(2, 1, 13, 13), IMAGE_SHAPE, (0, *IMAGE_SHAPE), (2, 2, 13, 14), (2, 338)])
def test_a_wrong_shape_is_named(models: BundleModels, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeMismatch, match=r"give \(B, 2, 13, 13\)") as caught:
        models.autoencoders["morphing"].encode(np.zeros(shape, np.float32))
    assert caught.value.field == "images"


def test_weights_and_codes_are_checked_too(models: BundleModels) -> None:
    assert models.classifier_gradient is not None
    with pytest.raises(ShapeMismatch) as caught:
        models.classifier_gradient.probability_gradient(images(2), np.zeros((2, CLASSES + 1), np.float32))
    assert caught.value.field == "weights"
    with pytest.raises(ShapeMismatch, match="rows"):
        models.classifier_gradient.probability_gradient(images(2), np.zeros((3, CLASSES), np.float32))
    with pytest.raises(ShapeMismatch) as caught:
        models.autoencoders["morphing"].decode(np.zeros((1, LATENTS + 1), np.float32))
    assert caught.value.field == "codes"


def test_onnxruntime_is_called_beneath_its_wrapper(untrained_bundle: Path) -> None:
    """Which goes over to another device by itself; and costs more."""
    weights = (untrained_bundle / "weights.safetensors").read_bytes()
    session = onnx_sessions.Session(untrained_bundle / "classifier.onnx", weights=weights, threads=1, device="cpu")
    assert type(session._compiled) is foreign.InferenceSession


def test_every_exception_of_onnxruntime_becomes_ours(untrained_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = (untrained_bundle / "weights.safetensors").read_bytes()
    session = onnx_sessions.Session(untrained_bundle / "classifier.onnx", weights=weights, threads=1, device="cpu")
    kinds = [kind for kind in vars(foreign).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 8
    for kind in (*kinds, RuntimeError, ValueError, MemoryError):
        monkeypatch.setattr(session, "_compiled", _Failing(kind("from below")))
        with pytest.raises(BackendUnavailable, match=r"classifier\.onnx.*from below") as caught:
            session.run(images(1))
        assert caught.value.metadata["backend"] == "onnx"
        assert isinstance(caught.value.__cause__, kind)


class _Failing:
    """In an onnxruntime session's place."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def run(self, *_: object) -> None:
        raise self._error


@pytest.mark.parametrize("name", ["networks.json", "weights.safetensors", "classifier.onnx", "morphing_decoder.onnx"])
def test_a_missing_file_is_named(damaged: Path, name: str) -> None:
    (damaged / name).unlink()
    with pytest.raises(BundleInvalid, match=r"missing|cannot be read") as caught:
        onnx.open_bundle(damaged, threads=1, device="cpu")
    assert str(damaged) in caught.value.message


@pytest.mark.parametrize("name", ["networks.json", "classifier.onnx", "morphing_morph_gradient.onnx"])
@pytest.mark.parametrize("content", [b"", b"\x00\xff not this", b"{}", b"[1]"])
def test_a_malformed_file_is_refused_by_name(damaged: Path, name: str, content: bytes) -> None:
    (damaged / name).write_bytes(content)
    with pytest.raises(BundleInvalid, match=name):
        onnx.open_bundle(damaged, threads=1, device="cpu")


def test_truncated_weights_are_refused(damaged: Path) -> None:
    path = damaged / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(BundleInvalid, match="weights"):
        onnx.open_bundle(damaged, threads=1, device="cpu")


def test_a_graph_outside_the_bundle_is_refused(damaged: Path) -> None:
    path = damaged / networks.FILE_NAME
    path.write_text(path.read_text().replace("classifier.onnx", "../classifier.onnx"))
    with pytest.raises(BundleInvalid, match="does not lie in the bundle"):
        onnx.open_bundle(damaged, threads=1, device="cpu")


def test_a_bundle_of_forward_graphs_serves_what_it_can(damaged: Path) -> None:
    path = damaged / networks.FILE_NAME
    for graph in ("classifier_gradient.onnx", "morphing_morph_gradient.onnx", "morphing_encoder.onnx"):
        (damaged / graph).unlink()
        lines = path.read_text().replace(f'"{graph}",', "").replace(f',\n  "{graph}"', "")
        path.write_text(lines)
    models = onnx.open_bundle(damaged, threads=1, device="cpu")
    assert models.classifier_gradient is None and not models.morph_gradients and not models.autoencoders
    assert models.classifier.logits(images(1)).shape == (1, CLASSES)
    probe.verify_probe(models, damaged)


def test_the_device_in_use_is_said_once(untrained_bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    onnx_sessions._say_once.cache_clear()
    with caplog.at_level(logging.INFO, logger="explaind"):
        first = onnx.open_bundle(untrained_bundle, threads=1, device="cpu")
        onnx.open_bundle(untrained_bundle, threads=1, device="cpu")
    assert first.device == "CPU"
    assert [record.getMessage() for record in caplog.records if "computes on CPU" in record.getMessage()] != []
    assert len(caplog.records) == 1


def test_without_a_device_the_providers_are_the_cpu_alone() -> None:
    if devices.cuda_devices():
        pytest.skip("this machine has a CUDA device")
    assert onnx_sessions.providers("auto") == ["CPUExecutionProvider"]
    with pytest.raises(BackendUnavailable, match="shows no device"):
        onnx_sessions.providers("cuda")


@pytest.mark.gpu
def test_cuda_agrees_with_pytorch(untrained_bundle: Path) -> None:
    if not devices.cuda_devices():
        pytest.skip("the driver shows no CUDA device")
    models = onnx.open_bundle(untrained_bundle, threads=1, device="cuda")
    assert models.device == "CUDA"
    probe.verify_probe(models, untrained_bundle)


def test_nothing_is_reported_to_the_maker_of_the_runtime(tmp_path: Path) -> None:
    kept = {key: value for key, value in os.environ.items() if key not in ("CI", "ORT_DISABLE_TELEMETRY")}
    code = "import explaind.backends.onnx"
    subprocess.run([sys.executable, "-c", code], env=kept | {"HOME": str(tmp_path)}, check=True)
    assert list(tmp_path.rglob("*onnxruntime*")) == []
