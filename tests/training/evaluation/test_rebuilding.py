"""NMAE, loss and agreement, against what they are by hand."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.types import FloatArray
from explaind.training.evaluation.classification import evaluate_classification
from explaind.training.evaluation.rebuilding import rebuilding
from explaind.training.evaluation.subject import Subject

DEVIATION = 0.5


class _Halves:
    """Codes are the image's first two pixels; every image is rebuilt at half its brightness."""

    def __init__(self, images: FloatArray) -> None:
        self._images = images
        self._done = 0

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        means = images.reshape(len(images), -1)[:, :2]
        return means, np.full_like(means, DEVIATION)

    def decode(self, codes: FloatArray) -> FloatArray:
        chunk = self._images[self._done : self._done + len(codes)]
        self._done += len(codes)
        return chunk / np.float32(2)


class _Bright:
    """Class 1 where the mean is above a quarter."""

    def logits(self, images: FloatArray) -> FloatArray:
        above = images.mean(axis=(1, 2, 3)) - np.float32(0.25)
        return np.stack([-above, above], axis=1)


def test_figures_are_those_of_the_definitions() -> None:
    images = np.random.default_rng(0).uniform(0.2, 0.8, (700, 1, 12, 12)).astype(np.float32)
    found = rebuilding(_Halves(images), _Bright(), images, np.ones(700, np.int32))
    assert found.nmae == pytest.approx(images.mean() / 2 / np.ptp(images), rel=1e-4)
    assert found.mse == pytest.approx(float(np.square(images / 2).mean()), rel=1e-4)
    means = images.reshape(700, -1)[:, :2]
    kl = 0.5 * (means**2 + DEVIATION**2 - 1 - 2 * np.log(DEVIATION)).sum(axis=1).mean()
    assert found.kl == pytest.approx(float(kl), rel=1e-4)
    entropy = -(images * np.log(images / 2) + (1 - images) * np.log(1 - images / 2)).sum(axis=(1, 2, 3)).mean()
    assert found.cross_entropy == pytest.approx(float(entropy), rel=1e-4)
    assert found.loss == pytest.approx(found.cross_entropy + found.kl)
    assert found.loss_per_value == pytest.approx(found.cross_entropy / 144)
    rebuilt = (images / 2).mean(axis=(1, 2, 3)) > 0.25
    assert found.agreement == pytest.approx(float(rebuilt.mean())) and 0.1 < found.agreement < 0.9


def test_the_committed_bundle_reads_and_rebuilds_digits(digits_subject: Subject) -> None:
    found = evaluate_classification(digits_subject)
    assert found["test_images"] == 120 and float(str(found["accuracy"])) >= 0.96
    assert found["judge_accuracy"] is None
    spaces = found["reconstruction"]
    assert isinstance(spaces, dict) and set(spaces) == {"morphing", "ranking"}
    assert spaces["morphing"]["nmae"] < spaces["ranking"]["nmae"] < 0.06
    assert found["used_latents"] == {"morphing": 23, "ranking": 10}
    classes = found["class_accuracy"]
    assert isinstance(classes, dict) and len(classes) == 10 and 0 <= min(classes.values()) <= 1
