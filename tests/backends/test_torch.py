"""The torch backend: gradients by autograd against differences, and its failures made ours."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from explaind.backends import torch as torch_backend
from explaind.backends.bundle_models import BundleModels
from explaind.errors import BackendUnavailable, BundleInvalid, ShapeMismatch
from explaind.explanations.models import FloatArray
from tests.untrained_bundle import CLASSES, LATENTS, images, untrained


@pytest.fixture(scope="module")
def models(untrained_bundle: Path) -> BundleModels:
    return torch_backend.open_bundle(untrained_bundle, threads=1)


def _softmax(logits: FloatArray) -> FloatArray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: FloatArray = shifted / shifted.sum(axis=1, keepdims=True)
    return result


def test_the_served_networks_are_the_exported_ones(models: BundleModels) -> None:
    batch = images(3)
    with torch.no_grad():
        expected = untrained().classifier(torch.tensor(batch)).numpy()
    np.testing.assert_array_equal(models.classifier.logits(batch), expected)


def test_the_probability_gradient_is_the_slope_of_the_probability(models: BundleModels) -> None:
    assert models.classifier_gradient is not None
    generator = np.random.default_rng(3)
    batch, weights = images(2), generator.standard_normal((2, CLASSES)).astype(np.float32)
    gradient, p = models.classifier_gradient.probability_gradient(batch, weights)
    direction = gradient / np.sqrt((gradient**2).sum(axis=(1, 2, 3), keepdims=True))
    np.testing.assert_allclose(p, _softmax(models.classifier.logits(batch)), atol=1e-6)
    step = np.float32(2e-3)  # short, lest a pooling window change its maximum on the way
    ahead, behind = (_softmax(models.classifier.logits(batch + sign * step * direction)) for sign in (1, -1))
    slope = ((ahead - behind) * weights).sum(axis=1) / (2 * step)
    np.testing.assert_allclose((gradient * direction).sum(axis=(1, 2, 3)), slope, rtol=0.02, atol=1e-4)


def test_the_morph_gradient_is_the_slope_of_the_logit_of_the_decoded_code(models: BundleModels) -> None:
    generator = np.random.default_rng(4)
    codes, weights, direction = (
        generator.standard_normal((3, size)).astype(np.float32) for size in (LATENTS, CLASSES, LATENTS)
    )
    gradient, logits = models.morph_gradients["morphing"].logit_gradient(codes, weights)
    decode = models.autoencoders["morphing"].decode
    np.testing.assert_allclose(logits, models.classifier.logits(decode(codes)), atol=1e-6)
    step = np.float32(1e-2)
    ahead, behind = (models.classifier.logits(decode(codes + sign * step * direction)) for sign in (1, -1))
    slope = ((ahead - behind) * weights).sum(axis=1) / (2 * step)
    np.testing.assert_allclose((gradient * direction).sum(axis=1), slope, rtol=0.02, atol=1e-4)


def test_equal_inputs_give_equal_bits(models: BundleModels) -> None:
    batch = images(5)
    unaligned = np.frombuffer(b"\0" * 4 + batch.tobytes(), np.float32)[1:].reshape(batch.shape)
    np.testing.assert_array_equal(models.classifier.logits(unaligned), models.classifier.logits(batch))


def test_a_wrong_shape_is_named(models: BundleModels) -> None:
    with pytest.raises(ShapeMismatch) as caught:
        models.classifier.logits(np.zeros((1, 1, 13, 13), np.float32))
    assert caught.value.field == "images"


@pytest.mark.parametrize("name", ["networks.json", "weights.safetensors"])
def test_a_missing_or_malformed_file_is_named(untrained_bundle: Path, tmp_path: Path, name: str) -> None:
    folder = Path(shutil.copytree(untrained_bundle, tmp_path / "1"))
    (folder / name).write_bytes(b"not this")
    with pytest.raises(BundleInvalid, match=name):
        torch_backend.open_bundle(folder, threads=1)
    (folder / name).unlink()
    with pytest.raises(BundleInvalid, match=f"{name} is missing"):
        torch_backend.open_bundle(folder, threads=1)


@pytest.mark.parametrize(("old", "new"), [('"out": 16', '"out": 17'), ('"conv"', '"swirl"'), ('"bias"', '"basis"')])
def test_tables_that_do_not_fit_the_weights_are_refused(
    untrained_bundle: Path, tmp_path: Path, old: str, new: str
) -> None:
    folder = Path(shutil.copytree(untrained_bundle, tmp_path / "1"))
    path = folder / "networks.json"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(BundleInvalid, match="do not fit each other"):
        torch_backend.open_bundle(folder, threads=1)


def test_what_torch_raises_becomes_ours() -> None:
    for kind in (RuntimeError, torch.OutOfMemoryError, MemoryError):
        with (
            pytest.raises(BackendUnavailable, match="torch backend failed") as caught,
            torch_backend._failing_as_unavailable(),
        ):
            raise kind("from below")
        assert caught.value.metadata["backend"] == "torch"


def test_cuda_without_a_device_is_said(untrained_bundle: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(BackendUnavailable, match="finds no device"):
        torch_backend.open_bundle(untrained_bundle, threads=1, device="cuda")


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(models: BundleModels, untrained_bundle: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    on_device = torch_backend.open_bundle(untrained_bundle, threads=1, device="cuda")
    np.testing.assert_allclose(on_device.classifier.logits(images(9)), models.classifier.logits(images(9)), atol=1e-4)
