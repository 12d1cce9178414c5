"""Certificates of masks, and the section's galleries."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from explaind.explanations.mask_on_path import MaskOnPath
from explaind.explanations.types import PathMask, PathMaskOutcome
from explaind.training.evaluation.masks import masks_figures, section
from explaind.training.evaluation.masks.certificates import certificates, mask_of, misclassified, overlap
from explaind.training.evaluation.masks.masks_figures import Shown
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject
from tests.training.evaluation.conftest import SMALL


@pytest.fixture(scope="module")
def real_mask(digits_subject: Subject) -> PathMask:
    return mask_of(digits_subject, 0)


def _on_path(applied: list[float]) -> MaskOnPath:
    return MaskOnPath(applied=np.array([applied]), signed=np.zeros((1, len(applied))), change=1.0, solved=True)


def test_overlap_of_masks() -> None:
    assert overlap(_on_path([1, 0.6, 0.4, 0]), _on_path([1, 0, 0.9, 0])) == pytest.approx(1 / 3)
    assert overlap(_on_path([0, 0.5]), _on_path([0, 0])) == 1.0


def test_a_real_mask_is_certified(real_mask: PathMask) -> None:
    figures = certificates([real_mask])
    assert figures["outcomes"] == {"converged": 1}
    gap = figures["completeness_gap"]
    assert isinstance(gap, dict) and gap["worst"] <= 0.01
    assert figures["area_median"] == float((real_mask.mask > 0.5).mean())


def test_what_did_not_converge_has_no_say_in_the_gaps(real_mask: PathMask) -> None:
    failed = replace(real_mask, outcome=PathMaskOutcome.NO_MORPH_FOUND, completeness_gap=0.9, probability_change=0.0)
    assert certificates([failed])["completeness_gap"] is None
    both = certificates([real_mask, failed])
    assert both["outcomes"] == {"converged": 1, "no_morph_found": 1}
    assert both["completeness_gap"] == certificates([real_mask])["completeness_gap"]


def test_wrong_answers_are_counted_by_how_far_the_probability_goes(real_mask: PathMask) -> None:
    masks = [replace(real_mask, probability_change=change) for change in (0.2, 0.5, 1.0)]
    figures = misclassified(masks)
    assert figures["share_with_half"] == pytest.approx(2 / 3)
    assert (figures["least_change"], figures["median_change"]) == (0.2, 0.5)
    assert misclassified([])["share_with_half"] is None


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 28, 28)), (4, (3, 24, 12)), (7, (3, 12, 24))])
def test_a_gallery_of_any_shape_stays_within_a_page(
    real_mask: PathMask, count: int, shape: tuple[int, int, int]
) -> None:
    picture = np.random.default_rng(3).random(shape).astype(np.float32)
    flat = np.linspace(-1, 1, shape[1] * shape[2], dtype=np.float32).reshape(shape[1:])
    result = replace(real_mask, reconstruction=picture, other_image=picture, mask=np.abs(flat), attribution=flat)
    shown = Shown(image=picture, result=result, note="seen as 5", self_name="automobile", other_name="airplane")
    figure = masks_figures.gallery([shown] * count)
    width, height = figure.get_size_inches() * figure.dpi
    assert width <= 1200 and height <= 1000


def test_the_section_on_real_digits(digits_subject: Subject, tmp_path: Path) -> None:
    page = Page(tmp_path, section.SECTION.title)
    figures = section.SECTION.run(digits_subject, replace(SMALL, reference_masks=0), page)
    wrong = figures["misclassified"]
    assert isinstance(wrong, dict)
    missed = int((digits_subject.predicted != digits_subject.splits.evaluation.labels).sum())
    assert (figures["images"], wrong["of"]) == (SMALL.images, missed)
    assert ("masks_wrong" in page.markdown()) == (missed > 0)
    assert {"masks_usual", "masks_badly_rebuilt"} <= {path.stem for path in tmp_path.glob("*.png")}


def test_a_wrongly_classified_image_is_asked_about_its_true_class(digits_subject: Subject, tmp_path: Path) -> None:
    """The label of the first digit is made another one, so that the answer to it is wrong."""
    labels = digits_subject.splits.evaluation.labels.copy()
    labels[0] = (digits_subject.predicted[0] + 1) % 10
    splits = replace(digits_subject.splits, evaluation=replace(digits_subject.splits.evaluation, labels=labels))
    page = Page(tmp_path, section.SECTION.title)
    figures = section.SECTION.run(
        replace(digits_subject, splits=splits), replace(SMALL, images=2, reference_masks=0), page
    )
    wrong = figures["misclassified"]
    assert isinstance(wrong, dict) and wrong["images"] >= 1
    assert (tmp_path / "masks_wrong.png").is_file()
