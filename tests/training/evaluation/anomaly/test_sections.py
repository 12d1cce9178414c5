"""The three sections on the committed bundle and its digits: every figure drawn, every key there."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from explaind.explanations.types import Detector
from explaind.training.evaluation.anomaly import protocol_section, section, texture_section
from explaind.training.evaluation.anomaly.measured import coefficients
from explaind.training.evaluation.anomaly.scored import anomaly_reference, scored
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject
from tests.training.evaluation.conftest import SMALL


def _run(part: Section, subject: Subject, folder: Path) -> tuple[dict[str, Any], str]:
    page = Page(folder, part.title, level=2)
    figures = dict(part.run(subject, SMALL, page))
    return figures, page.markdown()


def test_both_detectors_on_every_kind(digits_subject: Subject, tmp_path: Path) -> None:
    figures, text = _run(section.SECTION, digits_subject, tmp_path)
    kinds = set(figures["outlier_images"])
    assert kinds == {"fashion_mnist", "noise", "flat", "blurred", "rotated_90", "half_contrast"}
    for detector in Detector:
        assert set(figures[detector.value]["kinds"]) == kinds
        low, high = figures[detector.value]["false_alarm_interval"]
        assert low <= figures[detector.value]["false_alarm_rate"] <= high
    assert figures["mahalanobis"]["kinds"]["fashion_mnist"]["auroc"] > 0.99
    assert set(figures["losses_auroc"]["noise"]) == {
        "mse", "mae", "cosine_distance", "one_minus_ssim", "cross_entropy", "cross_entropy_excess"
    }  # fmt: skip
    assert set(figures["control_compressed_size_auroc"]) == set(figures["control_mean_intensity_auroc"]) == kinds
    assert "letters, cifar10" in text
    assert {path.stem for path in tmp_path.glob("*.png")} == {"anomaly_scores", "anomaly_rates", "anomaly_hardest"}


def test_the_verdicts_are_the_services(digits_subject: Subject) -> None:
    """Both detectors' p-values at once are those that each gives alone."""
    from explaind.explanations import anomaly_score
    from explaind.explanations.types import AnomalyScoreParameters

    images, reference = digits_subject.images[:20], anomaly_reference(digits_subject)
    both = scored(digits_subject, images).verdicts
    for detector in Detector:
        parameters = AnomalyScoreParameters(detector=detector, level=0.05)
        alone = anomaly_score.explain(digits_subject.autoencoder, reference, images, parameters)
        assert np.allclose(both[detector].scores, alone.scores)
        assert np.array_equal(both[detector].p_values, alone.p_values)
        assert np.array_equal(both[detector].anomalous, alone.anomalous)


def test_coefficients_are_named_and_sorted(digits_subject: Subject) -> None:
    reference = anomaly_reference(digits_subject)
    weights = coefficients(reference, 1)
    assert reference.logistic is not None
    assert len(weights) == len(reference.logistic.weights) == 105
    assert list(np.abs(list(weights.values()))) == sorted(np.abs(reference.logistic.weights), reverse=True)
    assert weights["mse"] == reference.logistic.weights[0]
    assert weights["z99"] == reference.logistic.weights[-1]


def test_a_bundle_without_a_regression_has_one_detector(digits_subject: Subject, tmp_path: Path) -> None:
    anomaly = dataclasses.replace(anomaly_reference(digits_subject), logistic=None)
    subject = dataclasses.replace(
        digits_subject, reference=dataclasses.replace(digits_subject.reference, anomaly=anomaly)
    )
    figures, text = _run(section.SECTION, subject, tmp_path)
    assert "logistic_regression" not in figures
    assert "coefficients" not in figures
    assert "no known outliers" in text


@pytest.mark.parametrize("part", [section.SECTION, protocol_section.SECTION, texture_section.SECTION])
def test_a_bundle_without_an_anomaly_score_is_excused(part: Section, digits_subject: Subject) -> None:
    none = dataclasses.replace(digits_subject.reference, anomaly=None)
    assert part.excuse(dataclasses.replace(digits_subject, reference=none)) is not None
    assert part.excuse(digits_subject) is None


def test_the_protocol_with_kinds_seen_and_held_out(digits_subject: Subject, tmp_path: Path) -> None:
    figures, text = _run(protocol_section.SECTION, digits_subject, tmp_path)
    assert figures["inside_images"] == 180
    assert "evaluation, calibration and validation part" in text
    for scenario in figures["scenarios"].values():
        assert set(scenario["same_kind"]) == set(scenario["kind_held_out"])
        unfitted = [scenario[way]["mahalanobis"] for way in ("same_kind", "kind_held_out")]
        assert unfitted[0] == unfitted[1]
    gain = figures["scenarios"]["1000"]["gain_of_latents"]
    assert figures["gain_of_latents"] == gain["mean"]
    assert gain["low"] <= gain["mean"] <= gain["high"]
    assert (tmp_path / "protocol.png").is_file()


def test_no_image_is_in_two_parts_of_the_pool(digits_subject: Subject) -> None:
    images, parts = protocol_section.held_out_images(digits_subject, 70)
    assert parts == ("evaluation", "calibration")
    assert len({image.tobytes() for image in images}) == len(images) == 70
    few, parts = protocol_section.held_out_images(digits_subject, 30)
    assert (len(few), parts) == (30, ("evaluation",))


def test_smooth_images_of_another_set(digits_subject: Subject, tmp_path: Path) -> None:
    figures, text = _run(texture_section.SECTION, digits_subject, tmp_path)
    assert figures["kind"] == "fashion_mnist"
    assert sum(quarter["images"] for quarter in figures["outside"]) == 50
    assert "FashionMNIST" in text
    assert {path.stem for path in tmp_path.glob("*.png")} == {"texture", "texture_images"}


def test_without_another_set_there_is_nothing_to_sort(digits_subject: Subject, tmp_path: Path) -> None:
    subject = dataclasses.replace(digits_subject, data=tmp_path)
    figures, text = _run(texture_section.SECTION, subject, tmp_path)
    assert figures == {"kind": None}
    assert "no other data set" in text
