"""The torchserve backend against a real TorchServe: the same numbers as torch, many callers, a worker that dies."""

from __future__ import annotations

import json
import signal
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explaind.backends import networks, torchserve
from explaind.backends import torch as torch_backend
from explaind.backends.bundle_models import BundleModels
from explaind.backends.call_context import calling
from explaind.backends.torchserve_client import TorchServeClient
from explaind.backends.torchserve_launcher import TorchServe
from explaind.backends.torchserve_management import archive_model, ready_models
from explaind.errors import BackendUnavailable, BundleInvalid, ParameterOutOfRange, ShapeMismatch
from explaind.explanations.models import FloatArray
from tests.torchserve_workers import workers

pytestmark = pytest.mark.torchserve
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def models(torchserve_bundle: Path, torchserve_server: TorchServe) -> Iterator[BundleModels]:
    opened = torchserve.open_bundle(
        torchserve_bundle,
        address=torchserve_server.grpc_address,
        management=torchserve_server.management_address,
        timeout_seconds=30,
    )
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def reference(torchserve_bundle: Path) -> BundleModels:
    return torch_backend.open_bundle(torchserve_bundle, threads=1)


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def _images(rows: int, generator: np.random.Generator) -> FloatArray:
    return generator.random((rows, 1, 28, 28), np.float32)


def _normal(shape: tuple[int, ...], generator: np.random.Generator) -> FloatArray:
    return generator.standard_normal(shape).astype(np.float32)


def test_the_classifier_computes_as_torch_does(
    models: BundleModels, reference: BundleModels, generator: np.random.Generator
) -> None:
    images, weights = _images(5, generator), _normal((5, 10), generator)
    assert models.classifier_gradient and reference.classifier_gradient
    np.testing.assert_allclose(models.classifier.logits(images), reference.classifier.logits(images), atol=TOLERANCE)
    ours = models.classifier_gradient.probability_gradient(images, weights)
    theirs = reference.classifier_gradient.probability_gradient(images, weights)
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, expected, atol=TOLERANCE)


@pytest.mark.parametrize(("space", "latents"), [("morphing", 100), ("ranking", 12)])
def test_each_space_computes_as_torch_does(
    models: BundleModels, reference: BundleModels, generator: np.random.Generator, space: str, latents: int
) -> None:
    images, codes = _images(3, generator), _normal((3, latents), generator)
    ours, theirs = models.autoencoders[space], reference.autoencoders[space]
    for got, expected in zip(ours.encode(images), theirs.encode(images), strict=True):
        np.testing.assert_allclose(got, expected, atol=TOLERANCE)
    np.testing.assert_allclose(ours.decode(codes), theirs.decode(codes), atol=TOLERANCE)


def test_the_morph_gradient_of_three_hops_is_torchs_of_one(
    models: BundleModels, reference: BundleModels, generator: np.random.Generator
) -> None:
    codes, weights = _normal((9, 100), generator), _normal((9, 10), generator)
    assert models.morph_gradients.keys() == reference.morph_gradients.keys() == {"morphing"}
    ours = models.morph_gradients["morphing"].logit_gradient(codes, weights)
    theirs = reference.morph_gradients["morphing"].logit_gradient(codes, weights)
    for got, expected in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(got, expected, atol=TOLERANCE)


def test_a_batch_larger_than_a_message_goes_in_pieces(
    models: BundleModels, reference: BundleModels, generator: np.random.Generator
) -> None:
    codes = _normal((2100, 100), generator)  # 6.6 MB of images, more than TorchServe's own limit for one message
    images = models.autoencoders["morphing"].decode(codes)
    assert images.shape == (2100, 1, 28, 28)
    for rows in (slice(0, 3), slice(-3, None)):
        np.testing.assert_allclose(images[rows], reference.autoencoders["morphing"].decode(codes[rows]), atol=TOLERANCE)


def test_every_concurrent_caller_gets_its_own_answer(
    models: BundleModels, reference: BundleModels, generator: np.random.Generator
) -> None:
    sent = [_images(1 + number % 4, generator) for number in range(48)]
    with ThreadPoolExecutor(12) as pool:
        received = list(pool.map(models.classifier.logits, sent))
    for images, logits in zip(sent, received, strict=True):
        np.testing.assert_allclose(logits, reference.classifier.logits(images), atol=TOLERANCE)


def test_a_wrong_shape_never_leaves_the_process(models: BundleModels) -> None:
    with pytest.raises(ShapeMismatch) as caught:
        models.classifier.logits(np.zeros((1, 3, 28, 28), np.float32))
    assert caught.value.field == "images"


def test_an_item_with_an_error_leaves_the_worker_serving(
    torchserve_bundle: Path, torchserve_server: TorchServe, generator: np.random.Generator
) -> None:
    client = TorchServeClient(torchserve_server.grpc_address)
    (path,) = torchserve_bundle.glob("*-classifier.mar")
    arrays = {"images": _images(1, generator)}
    with ThreadPoolExecutor(8) as pool:
        good = [pool.submit(client.call, archive_model(path), "predict", arrays) for _ in range(8)]
        bad = [pool.submit(client.call, archive_model(path), "erase", arrays) for _ in range(8)]
        for each in bad:
            with pytest.raises(ParameterOutOfRange) as caught:
                each.result()
            assert caught.value.field == "operation"
        assert {each.result()["logits"].shape for each in good} == {(1, 10)}
    client.close()


def test_the_request_id_is_in_torchserves_log_and_no_image_is(
    models: BundleModels, torchserve_server: TorchServe
) -> None:
    value = np.frombuffer(b"SECR", np.float32)[0]
    with calling(request_id="request-0815"):
        models.classifier.logits(np.full((2, 1, 28, 28), value, np.float32))
    log = torchserve_server.log_folder / "model_log.log"
    _until(lambda: "requests request-0815: predict, 2 rows" in log.read_text())
    assert "SECR" not in log.read_text(errors="replace")


def test_an_archive_that_is_not_served_is_said(
    torchserve_bundle: Path, torchserve_server: TorchServe, tmp_path: Path, generator: np.random.Generator
) -> None:
    (tmp_path / "networks.json").write_bytes((torchserve_bundle / "networks.json").read_bytes())
    for role in ("classifier", "vae"):
        with zipfile.ZipFile(tmp_path / f"other-{role}.mar", "w") as archive:
            model = {"modelName": f"other-{role}", "modelVersion": "3"}
            archive.writestr("MAR-INF/MANIFEST.json", json.dumps({"model": model}))
    other = torchserve.open_bundle(
        tmp_path, address=torchserve_server.grpc_address, management=torchserve_server.management_address
    )
    with pytest.raises(BackendUnavailable) as caught:
        other.classifier.logits(_images(1, generator))
    assert caught.value.metadata["cause"] == "model_not_loaded"
    with pytest.raises(BackendUnavailable, match="no READY worker"):
        other.check()
    other.close()


def test_a_bundle_without_archives_is_refused(torchserve_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / networks.FILE_NAME).write_bytes((torchserve_bundle / networks.FILE_NAME).read_bytes())
    with pytest.raises(BundleInvalid, match="archives"):
        torchserve.open_bundle(tmp_path, address="127.0.0.1:1")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x-classifier.mar"
    path.write_bytes(b"not a zip")
    with pytest.raises(BundleInvalid, match=r"x-classifier\.mar"):
        archive_model(path)


def test_a_killed_worker_fails_its_call_at_once_and_comes_back(
    torchserve_bundle: Path, torchserve_server: TorchServe, models: BundleModels, generator: np.random.Generator
) -> None:
    images = _images(400, generator)
    expected = models.classifier.logits(images)
    models.check()
    (worker,) = workers(torchserve_server, "classifier")
    worker.send_signal(signal.SIGSTOP)  # so that a call is in flight when it dies
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(models.classifier.logits, images)
        time.sleep(0.3)
        worker.send_signal(signal.SIGKILL)
        with pytest.raises(BackendUnavailable) as caught:
            call.result(timeout=10)
    assert caught.value.metadata["cause"] in ("worker_died", "no_worker")
    _until(lambda: _check_fails_without(torchserve_server, models), seconds=60)
    served = set(torchserve.served_models(torchserve_bundle))
    _until(lambda: ready_models(torchserve_server.management_address, served) == served, seconds=60)
    np.testing.assert_array_equal(models.classifier.logits(images), expected)
    models.check()


def _check_fails_without(server: TorchServe, models: BundleModels) -> bool:
    """The check of a server whose worker is killed again where it came back meanwhile."""
    for worker in workers(server, "classifier"):
        worker.kill()
    try:
        models.check()
    except BackendUnavailable:
        return True
    return False


def _until(condition: Any, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)
