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
from explaind.explanations.models import Classifier, ClassifierGradient, FloatArray, Measured, Scorer
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


class _ShiftedScorer:
    """A scorer one of whose outputs is off by `shift` in the first image."""

    def __init__(self, inner: Scorer, output: str, shift: float) -> None:
        self._inner, self._output, self._shift = inner, output, shift

    def measure(self, images: FloatArray) -> Measured:
        measured = self._inner.measure(images)
        getattr(measured, self._output)[0] += self._shift
        return measured


@pytest.mark.parametrize(
    ("output", "shift"),
    [
        ("logits", 1e-3),
        ("mean", 1e-3),
        ("deviation", 1e-3),
        ("reconstructions", 1e-3),
        ("reconstructions", float("nan")),
        ("statistics", 1e-7),
        ("statistics", float("nan")),
    ],
)
def test_a_scorer_that_says_something_else_than_its_parts_is_refused(
    untrained_bundle: Path, models: BundleModels, output: str, shift: float
) -> None:
    wrong = replace(models, scorers={"morphing": _ShiftedScorer(models.scorers["morphing"], output, shift)})
    with pytest.raises(BackendUnavailable, match=r"computes morphing_scorer of .* from its parts") as caught:
        probe.verify_probe(wrong, untrained_bundle)
    assert caught.value.metadata["graph"] == "morphing_scorer"


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


class _Flipped:
    """A gradient with one row of another value than the graph's own."""

    def __init__(self, inner: ClassifierGradient, rows: int) -> None:
        self._inner, self._rows = inner, rows

    def probability_gradient(self, images: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        gradient, p = self._inner.probability_gradient(images, weights)
        gradient[: self._rows] += np.float32(0.01)
        return gradient, p


@pytest.mark.parametrize("rows", [1, 3])
def test_a_gradient_that_is_wrong_on_both_sides_is_no_kink(models: BundleModels, rows: int) -> None:
    assert models.classifier_gradient is not None
    wrong = replace(models, classifier_gradient=_Flipped(models.classifier_gradient, rows))
    with pytest.raises(ParityFailed, match="classifier_gradient differs"):
        parity.check(wrong, models, probe.questions(models, images(5), CLASSES))


class _Kinked:
    """The gradient of Σ_k w_k·ReLU(x₀): 1 or 0 in the first pixel, by the side of `edge`."""

    def __init__(self, edge: float) -> None:
        self._edge = edge

    def probability_gradient(self, images: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        gradient = np.zeros_like(images)
        gradient[:, 0, 0, 0] = images[:, 0, 0, 0] > self._edge
        return gradient, weights


def test_at_a_kink_either_side_is_right(models: BundleModels) -> None:
    batch = images(5)
    batch[2, 0, 0, 0] = 0.5
    asked = probe.questions(models, batch, CLASSES)
    here, there = (replace(models, classifier_gradient=_Kinked(edge)) for edge in (0.5 - 1e-7, 0.5 + 1e-7))
    assert parity.check(here, there, asked)["classifier_gradient"] <= probe.TOLERANCE
    far = replace(models, classifier_gradient=_Kinked(0.5 + 1e-4))
    with pytest.raises(ParityFailed, match="classifier_gradient differs"):
        parity.check(here, far, asked)


def test_a_probe_keeps_away_from_kinks(models: BundleModels) -> None:
    batch = images(5)
    batch[:, 0, 0, 0] = [0.1, 0.5, 0.5, 0.9, 0.5]
    kinked = replace(models, classifier_gradient=_Kinked(0.5), morph_gradients={})
    assert parity.steadiest_rows(kinked, probe.questions(models, batch, CLASSES), 2).tolist() == [0, 3]


def test_the_gate_refuses_over_its_tolerance(models: BundleModels) -> None:
    asked = probe.questions(models, images(5), CLASSES)
    with pytest.raises(ParityFailed, match="classifier differs from PyTorch"):
        parity.check(replace(models, classifier=_Shifted(models.classifier, 2e-4)), models, asked)
