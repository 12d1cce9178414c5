"""A bundle's scorer: the numbers of its parts in one call, no score and no verdict changed."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explaind.backends import arrays, networks, onnx
from explaind.backends import torch as torch_backend
from explaind.backends.bundle_models import BundleModels
from explaind.backends.onnx_cuda import LaunchedSession
from explaind.backends.onnx_scorer import scorer_graph
from explaind.backends.scorer_parity import STATISTICS_TOLERANCE, worst_differences
from explaind.bundles import bundle as bundles
from explaind.errors import ShapeMismatch
from explaind.explanations import anomaly_score
from explaind.explanations.models import FloatArray
from explaind.explanations.types import AnomalyScoreParameters, Detector
from tests import untrained_bundle as untrained
from tests.conftest import RealImages

PARTS = ("classifier.onnx", "morphing_encoder.onnx", "morphing_decoder.onnx")
NETWORKS_TOLERANCE = 1e-5
"""A batch is cut otherwise for other graphs; alone in a batch the numbers are the same."""


@pytest.fixture(scope="module")
def folder(store: Path) -> Path:
    return store / "mnist/1"


@pytest.fixture(scope="module")
def models(folder: Path) -> BundleModels:
    return onnx.open_bundle(folder, threads=1, device="cpu")


@pytest.fixture(scope="module")
def images(real_images: RealImages) -> FloatArray:
    """300 digits, 100 clothes, 98 of noise, one black, one white: (500, 1, 28, 28)."""
    real = np.concatenate([real_images.digits, real_images.clothes])[:, None].astype(np.float32) / np.float32(255)
    noise = np.random.default_rng(0).random((98, 1, 28, 28), dtype=np.float32)
    return np.concatenate([real, noise, np.zeros((1, 1, 28, 28), np.float32), np.ones((1, 1, 28, 28), np.float32)])


def _graph(folder: Path, **changes: object) -> bytes | None:
    parts = [(folder / part).read_bytes() for part in PARTS]
    return scorer_graph(*parts, networks=replace(networks.read(folder), **changes), space="morphing")  # type: ignore[arg-type]


def test_images_too_small_for_ssim_are_scored_in_parts(folder: Path) -> None:
    assert _graph(folder) is not None
    assert _graph(folder, image_shape=(1, 28, 10)) is None


@pytest.mark.parametrize("broken", [b"\xff\xff no graph", b""])
def test_parts_that_cannot_be_joined_make_no_scorer(folder: Path, broken: bytes) -> None:
    _, encoder, decoder = ((folder / part).read_bytes() for part in PARTS)
    assert scorer_graph(broken, encoder, decoder, networks=networks.read(folder), space="morphing") is None


def test_a_bundle_without_a_decoder_has_no_scorer(untrained_bundle: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(untrained_bundle, tmp_path / "1"))
    described = networks.read(copy)
    networks.write(copy, replace(described, graphs=tuple(name for name in described.graphs if "decoder" not in name)))
    assert onnx.open_bundle(copy, threads=1, device="cpu").scorers == {}


def test_a_device_of_its_own_gets_none(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class _OnDevice(LaunchedSession):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.device = "CUDA"

    monkeypatch.setattr(onnx, "open_session", _OnDevice)
    assert onnx.open_bundle(folder, threads=1, device="cpu").scorers == {}


def test_other_backends_have_none(untrained_bundle: Path) -> None:
    assert torch_backend.open_bundle(untrained_bundle, threads=1).scorers == {}


def test_only_the_space_that_scores_are_calibrated_for_has_one(models: BundleModels) -> None:
    assert set(models.scorers) == {"morphing"}
    assert set(models.autoencoders) == {"morphing", "ranking"}


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28), (0, 1, 28, 28), (1, 1, 28, 27), (1, 3, 28, 28)])
def test_a_wrong_shape_is_named(models: BundleModels, shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeMismatch, match=r"give \(B, 1, 28, 28\)"):
        models.scorers["morphing"].measure(np.zeros(shape, np.float32))


@pytest.mark.parametrize("batch", [1, 7, arrays.CHUNK_ROWS + 3])
def test_it_says_what_its_parts_say(models: BundleModels, images: FloatArray, batch: int) -> None:
    rows = images[:: max(1, len(images) // batch)][:batch]
    ((of_networks, of_statistics),) = worst_differences(models, rows).values()
    assert of_networks <= NETWORKS_TOLERANCE
    assert of_statistics <= STATISTICS_TOLERANCE


def test_two_channels_of_another_bundle(untrained_bundle: Path) -> None:
    models = onnx.open_bundle(untrained_bundle, threads=1, device="cpu")
    ((of_networks, of_statistics),) = worst_differences(models, untrained.images(9)).values()
    assert of_networks <= NETWORKS_TOLERANCE
    assert of_statistics <= STATISTICS_TOLERANCE


@pytest.mark.parametrize("detector", list(Detector))
def test_no_score_and_no_verdict_changes(
    models: BundleModels, folder: Path, images: FloatArray, detector: Detector
) -> None:
    reference = bundles.load(folder).reference.anomaly
    assert reference is not None
    parameters = AnomalyScoreParameters(detector=detector)
    arguments = models.autoencoders["morphing"], reference, images, parameters
    in_parts = anomaly_score.explain(*arguments)
    at_once = anomaly_score.explain(*arguments, scorer=models.scorers["morphing"])
    np.testing.assert_array_equal(at_once.p_values, in_parts.p_values)
    np.testing.assert_array_equal(at_once.anomalous, in_parts.anomalous)
    np.testing.assert_allclose(at_once.scores, in_parts.scores, rtol=1e-5)
    assert 0 < at_once.anomalous.sum() < len(images)


def test_of_rebuilt_images_too(models: BundleModels, folder: Path, images: FloatArray) -> None:
    reference = bundles.load(folder).reference.anomaly
    assert reference is not None
    autoencoder = models.autoencoders["morphing"]
    arguments = autoencoder, reference, autoencoder.decode(autoencoder.encode(images)[0])
    in_parts = anomaly_score.rebuilt_p_values(*arguments)
    at_once = anomaly_score.rebuilt_p_values(*arguments, scorer=models.scorers["morphing"])
    np.testing.assert_array_equal(at_once, in_parts)


def test_threads_share_it(models: BundleModels, images: FloatArray) -> None:
    scorer = models.scorers["morphing"]
    alone = [scorer.measure(images[i : i + 1 + i % 3]) for i in range(40)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda i: scorer.measure(images[i : i + 1 + i % 3]), range(40)))
    for expected, found in zip(alone, together, strict=True):
        np.testing.assert_array_equal(found.statistics, expected.statistics)
        np.testing.assert_array_equal(found.logits, expected.logits)
