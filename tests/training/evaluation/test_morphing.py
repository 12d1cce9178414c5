"""Morphs summarised, and the section with and without somebody to confirm them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from explaind.explanations.types import Morph, Solver
from explaind.training.evaluation.morphing import morphing_figures, section
from explaind.training.evaluation.morphing.morphs import Morphs, between, decoded, distance_ratio, run, summarize
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject
from explaind.training.recipe import load_recipe
from tests.conftest import ROOT
from tests.training.evaluation.conftest import SMALL


class _OtherEye:
    """A judge that never agrees: the class after the one that the bundle's own classifier sees."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def classes(self, images: NDArray[np.float32]) -> NDArray[np.int64]:
        logits = self._subject.models.classifier.logits(images)
        return np.asarray((logits.argmax(axis=1) + 1) % logits.shape[1])


def _morph(found: bool, distance: float, other: int = 1) -> Morph:
    return Morph(
        self_class=0,
        other_class=other,
        z_self=np.zeros(2),
        z_other=np.full(2, distance),
        found=found,
        best_so_far=False,
        steps=4 if found else 100,
        entropy=0.0,
        latent_distance=distance,
        reconstruction_agrees=True,
    )


def _morphs(rows: list[tuple[bool, float]], judged: list[int] | None, p_values: list[float] | None) -> Morphs:
    return Morphs(
        morphs=[_morph(found, distance) for found, distance in rows],
        ends=np.zeros((len(rows), 1, 12, 12), np.float32),
        judged=None if judged is None else np.array(judged),
        p_values=None if p_values is None else np.array(p_values),
    )


def test_failures_count_neither_for_the_judge_nor_for_the_distance() -> None:
    outcome = _morphs([(True, 1.0), (True, 3.0), (True, 5.0), (False, 90.0)], [1, 1, 2, 2], [0.5, 0.01, 0.009, 0.9])
    summary = summarize(outcome)
    assert (summary.images, summary.failure_rate) == (4, 0.25)
    assert summary.judge_agreement == pytest.approx(2 / 3)
    assert summary.natural_p_value_share == pytest.approx(2 / 3)
    assert (summary.median_distance, summary.median_steps) == (3.0, 4.0)


def test_nobody_to_ask_and_nothing_found_leave_no_figure() -> None:
    summary = summarize(_morphs([(False, 2.0)], None, None))
    assert (summary.failure_rate, summary.judge_agreement, summary.natural_p_value_share) == (1.0, None, None)
    assert (summary.median_distance, summary.median_steps) == (None, None)


def test_distances_are_compared_where_both_solvers_succeed() -> None:
    fast = _morphs([(True, 1.0), (True, 2.0), (False, 7.0), (True, 50.0)], None, None)
    slow = _morphs([(True, 4.0), (False, 9.0), (True, 9.0)], None, None)
    compared = distance_ratio(fast, slow)
    assert (compared["images"], compared["distance_ratio"]) == (1, 0.25)
    assert distance_ratio(fast, _morphs([(False, 9.0)], None, None))["distance_ratio"] is None


def test_the_way_of_a_real_digit_starts_at_itself_and_ends_at_its_morph(digits_subject: Subject) -> None:
    outcome = run(digits_subject, Solver.FAST, 2, None)
    first = outcome.morphs[0]
    ways = between(digits_subject.autoencoder, first, (0.0, 0.5, 1.0))
    assert np.allclose(ways[2], outcome.ends[0], atol=1e-4)
    assert np.allclose(ways[0], decoded(digits_subject.autoencoder, [first.z_self])[0], atol=1e-4)
    assert outcome.found.all()
    assert (digits_subject.models.classifier.logits(outcome.ends).argmax(axis=1) == outcome.targets).all()


def test_the_section_without_a_judge(digits_subject: Subject, tmp_path: Path) -> None:
    page = Page(tmp_path, section.SECTION.title)
    figures = section.SECTION.run(digits_subject, SMALL, page)
    fast, slow = figures["fast"], figures["reference"]
    assert isinstance(fast, dict) and isinstance(slow, dict)
    assert (fast["images"], slow["images"]) == (12, 1)
    assert fast["judge_agreement"] is None and figures["judge_accuracy"] is None
    assert fast["natural_p_value_share"] >= 0.5
    text = page.markdown()
    assert "names no judge" in text and "0.03" in text
    assert {path.stem for path in tmp_path.glob("*.png")} >= {"morphing_gallery", "morphing_p_values"}


def test_a_judge_that_contradicts_is_shown(
    digits_subject: Subject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(digits_subject.__dict__, "judge", _OtherEye(digits_subject))
    page = Page(tmp_path, section.SECTION.title)
    figures = section.SECTION.run(digits_subject, replace(SMALL, images=4, reference_morphs=0), page)
    fast, slow = figures["fast"], figures["reference"]
    assert isinstance(fast, dict) and isinstance(slow, dict)
    assert fast["judge_agreement"] == 0.0
    assert (slow["images"], slow["median_distance"]) == (0, None)
    assert (tmp_path / "morphing_doubtful.png").is_file()
    assert "The 4 of 4 morphs" in page.markdown()


def test_a_missing_training_run_is_said_not_raised(digits_subject: Subject, tmp_path: Path) -> None:
    """The recipe of the committed bundle names a judge; the run that holds it is not there."""
    named = replace(digits_subject, recipe=load_recipe(ROOT / "model_store/mnist"), runs=tmp_path / "nowhere")
    page = Page(tmp_path, section.SECTION.title)
    section.SECTION.run(named, replace(SMALL, images=2, reference_morphs=0), page)
    assert "Nobody confirms these morphs: " in page.markdown()


def test_an_end_is_doubtful_for_each_reason_alone() -> None:
    image = np.zeros((1, 12, 12), np.float32)
    good = morphing_figures.Ending(image=image, found=True, target="3", judge="3", p_value=0.5)
    assert not good.doubtful
    assert not replace(good, judge="", p_value=float("nan")).doubtful
    assert all(replace(good, **change).doubtful for change in ({"found": False}, {"judge": "8"}, {"p_value": 0.001}))
