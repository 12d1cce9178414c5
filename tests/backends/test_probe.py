"""The probe: a backend that computes something else does not serve, and says which graph it was."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explaind.backends import onnx, probe
from explaind.backends import torch as torch_backend
from explaind.backends.bundle_models import BundleModels
from explaind.errors import BackendUnavailable, BundleInvalid, ParityFailed
from explaind.explanations.models import Classifier, FloatArray
from explaind.training import parity
from tests.untrained_bundle import CLASSES, images


class _Shifted:
    """A classifier whose logits are off by `shift`."""

    def __init__(self, inner: Classifier, shift: float) -> None:
        self._inner, self._shift = inner, np.float32(shift)

    def logits(self, images: FloatArray) -> FloatArray:
        return self._inner.logits(images) + self._shift


@pytest.fixture
def models(untrained_bundle: Path) -> BundleModels:
    return onnx.open_bundle(untrained_bundle, threads=1, device="cpu")


def test_both_backends_pass(untrained_bundle: Path, models: BundleModels) -> None:
    probe.verify_probe(models, untrained_bundle)
    probe.verify_probe(torch_backend.open_bundle(untrained_bundle, threads=1), untrained_bundle)


@pytest.mark.parametrize("shift", [1e-3, float("nan"), float("inf")])
def test_a_wrong_answer_is_refused_with_backend_and_graph(
    untrained_bundle: Path, models: BundleModels, shift: float
) -> None:
    wrong = replace(models, classifier=_Shifted(models.classifier, shift))
    with pytest.raises(BackendUnavailable, match="onnx backend computes classifier of") as caught:
        probe.verify_probe(wrong, untrained_bundle)
    assert caught.value.metadata["graph"] == "classifier"


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 not an archive", b"text"])
def test_a_missing_or_damaged_probe_is_named(
    untrained_bundle: Path, models: BundleModels, tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / probe.FILE_NAME).write_bytes(content)
    with pytest.raises(BundleInvalid, match=r"probe\.npz"):
        probe.verify_probe(models, tmp_path)


def test_a_probe_without_an_answer_is_refused(untrained_bundle: Path, models: BundleModels, tmp_path: Path) -> None:
    shutil.copy(untrained_bundle / probe.FILE_NAME, tmp_path)
    with np.load(tmp_path / probe.FILE_NAME) as archive:
        kept = {key: archive[key] for key in archive if key != "morphing_decoder.images"}
    np.savez(tmp_path / probe.FILE_NAME, **kept)
    with pytest.raises(BundleInvalid, match="morphing_decoder"):
        probe.verify_probe(models, tmp_path)


def test_the_gate_gives_the_worst_difference_of_each_graph(models: BundleModels) -> None:
    asked = probe.questions(models, images(5), CLASSES)
    off = replace(models, classifier=_Shifted(models.classifier, 3.21e-5))
    worst = parity.check(off, models, asked)
    assert worst["classifier"] == pytest.approx(3.3e-5, abs=1e-6)
    assert {graph: value for graph, value in worst.items() if value} == {"classifier": worst["classifier"]}


def test_the_gate_refuses_over_its_tolerance(models: BundleModels) -> None:
    asked = probe.questions(models, images(5), CLASSES)
    with pytest.raises(ParityFailed, match="classifier differs from PyTorch"):
        parity.check(replace(models, classifier=_Shifted(models.classifier, 2e-4)), models, asked)
