"""Pairs, correlations and norms along paths, on codes whose answers are known and on real digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explaind.explanations import two_class
from explaind.explanations.types import Interpolation
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.paths import section
from explaind.training.evaluation.paths.entropy_gradient import correlation, third, trace
from explaind.training.evaluation.paths.pairs import Pair, morph_pairs, nearest_of_another_class
from explaind.training.evaluation.paths.path_norms import norm_ratios, spread
from explaind.training.evaluation.subject import Subject
from tests.training.evaluation.conftest import SMALL


def _pair(start: list[float], end: list[float]) -> Pair:
    return Pair(start=np.array(start), end=np.array(end), classes=(0, 1))


def test_the_nearest_is_by_angle_and_of_another_class() -> None:
    codes = np.array([[1, 0], [1, 0.1], [5, 2], [0, 1], [0.3, 0.1]], np.float32)
    classes = np.array([0, 0, 1, 1, 1])
    pairs = dict(nearest_of_another_class(codes, classes, 5, np.random.default_rng(0)))
    assert pairs[0] == 4 and pairs[1] == 4  # not row 1, which is of its own class; not row 2, whose angle is larger
    assert pairs[3] == 1


def test_one_class_has_no_pairs() -> None:
    assert nearest_of_another_class(np.eye(3, dtype=np.float32), np.zeros(3, int), 3, np.random.default_rng(0)) == []


def test_correlations_known_beforehand() -> None:
    rising = np.arange(5.0)
    assert correlation(rising, 3 * rising + 1) == pytest.approx(1)
    assert correlation(rising, -rising) == pytest.approx(-1)
    assert np.isnan(correlation(rising, np.ones(5)))


def test_thirds_of_a_path() -> None:
    assert [third(start, 100) for start in (-20.0, 1.0, 33.9, 34.1, 66.9, 67.1, 100.0)] == [0, 0, 0, 1, 1, 2, 2]


def test_norms_of_right_angles_and_of_one_direction() -> None:
    right = [_pair([2.0, 0.0], [0.0, 2.0])]
    assert spread(norm_ratios(right, Interpolation.RADIAL)).largest == pytest.approx(1)
    assert spread(norm_ratios(right, Interpolation.LINEAR)).least == pytest.approx(np.sqrt(0.5))
    alike = [_pair([1.0, 0.0], [1.0, 0.0])]
    assert spread(norm_ratios(alike, Interpolation.RADIAL)).largest == pytest.approx(np.sqrt(2))
    for kind in Interpolation:
        assert norm_ratios(right, kind)[0, [0, -1]] == pytest.approx(1)
    uneven = [_pair([3.0, 0.0, 0.0], [0.5, 0.5, 0.0])]
    assert norm_ratios(uneven, Interpolation.SLERP) == pytest.approx(1)


def test_the_slope_on_a_real_path_is_the_norm_of_what_each_pixel_changes(digits_subject: Subject) -> None:
    """Against central differences, pixel by pixel, at the step in most doubt."""
    models = digits_subject.morphing_models()
    pair = morph_pairs(digits_subject, 1)[0]
    along = trace(models, pair, Interpolation.SLERP, 40)
    middle = int(np.argmax(along.entropies))
    image = along.images[middle].reshape(-1)
    nudges = 5e-3 * np.eye(image.size, dtype=np.float32)
    moved = np.concatenate([image + nudges, image - nudges]).reshape(-1, *along.images.shape[1:])
    p = two_class.probability(models.classifier.logits(moved), *pair.classes).reshape(2, -1)
    assert along.slopes[middle] == pytest.approx(np.linalg.norm((p[0] - p[1]) / 1e-2), rel=0.02)
    here = float(two_class.probability(models.classifier.logits(along.images[middle][None]), *pair.classes)[0])
    assert along.logit_slopes[middle] == pytest.approx(along.slopes[middle] / (here * (1 - here)), rel=1e-4)


def test_the_section_on_real_digits(digits_subject: Subject, tmp_path: Path) -> None:
    page = Page(tmp_path, section.SECTION.title)
    figures = section.SECTION.run(digits_subject, SMALL, page)
    entropy, norms = figures["entropy_gradient"], figures["norms"]
    assert isinstance(entropy, dict) and isinstance(norms, dict)
    nearest = entropy["nearest training images, radial"]
    assert nearest["paths"] == SMALL.paths
    assert nearest["probability_mean"] > 0.95
    assert -1 <= nearest["logits_mean"] < nearest["probability_mean"]
    assert sum(each["paths"] for each in entropy["thirds"].values()) == SMALL.paths
    assert norms["our morphs, slerp"]["largest"] == pytest.approx(1)
    assert norms["our morphs, radial"]["largest"] > 1.1
    assert {path.stem for path in tmp_path.glob("*.png")} == {"paths_correlation", "paths_example", "paths_norms"}
