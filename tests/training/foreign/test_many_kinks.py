"""The parity gate of large programs: some units on the other side of their kink pass, a wrong graph does not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from explaind.backends.bundle_models import BundleModels
from explaind.backends.probe import Questions
from explaind.errors import ParityFailed
from explaind.explanations.models import FloatArray
from explaind.training import parity

ROWS, SHAPE, CLASSES = 20, (1, 8, 8), 3
GENERATOR = np.random.default_rng(0)
ASKED = Questions(
    GENERATOR.random((ROWS, *SHAPE), dtype=np.float32), GENERATOR.random((ROWS, CLASSES), dtype=np.float32), {}
)
GRADIENT = GENERATOR.standard_normal((ROWS, *SHAPE)).astype(np.float32)


@dataclass(frozen=True)
class _Answers:
    """gradient: what it says; shift: of its logits."""

    gradient: FloatArray
    shift: float = 0.0

    def logits(self, images: FloatArray) -> FloatArray:
        return (images.reshape(len(images), -1)[:, :CLASSES] + np.float32(self.shift)).astype(np.float32)

    def probability_gradient(self, images: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        return self.gradient, np.full((len(images), CLASSES), 1 / CLASSES, np.float32)

    def models(self) -> BundleModels:
        return BundleModels(
            backend="onnx", classifier=self, classifier_gradient=self, autoencoders={}, morph_gradients={}
        )


def _kinked(rows: int, size: float) -> FloatArray:
    """One pixel of the first rows is off by that much."""
    gradient = GRADIENT.copy()
    gradient[:rows, 0, 3, 3] += np.float32(size)
    return gradient


def test_a_graph_that_is_wrong_everywhere_fails() -> None:
    with pytest.raises(ParityFailed, match=r"classifier_gradient\.gradient differs from PyTorch by"):
        parity.check(_Answers(GRADIENT * 1.02).models(), _Answers(GRADIENT).models(), ASKED, many_kinks=True)


def test_a_gradient_that_is_far_off_or_no_number_fails() -> None:
    for size in (3.0, float("nan")):
        with pytest.raises(ParityFailed):
            parity.check(_Answers(_kinked(1, size)).models(), _Answers(GRADIENT).models(), ASKED, many_kinks=True)


def test_what_is_computed_forward_gets_no_allowance() -> None:
    with pytest.raises(ParityFailed, match="The graph classifier differs"):
        parity.check(_Answers(GRADIENT, 1e-3).models(), _Answers(GRADIENT).models(), ASKED, many_kinks=True)


def test_kinks_in_every_image_pass_and_are_stated() -> None:
    found, expected = _Answers(_kinked(ROWS, 0.01)).models(), _Answers(GRADIENT).models()
    assert parity.check(found, expected, ASKED, many_kinks=True)["classifier_gradient"] == pytest.approx(0.01, rel=0.1)
    with pytest.raises(ParityFailed):
        parity.check(found, expected, ASKED)
