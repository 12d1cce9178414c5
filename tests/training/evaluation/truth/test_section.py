"""The section on the committed digits: every check with its figures, and what a bundle must have for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth.deletion import METHODS
from explaind.training.evaluation.truth.section import SECTION


@pytest.fixture(scope="module")
def written(digits_subject: Subject, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = tmp_path_factory.mktemp("truth")
    page = Page(folder, "Truth", level=2)
    figures = dict(SECTION.run(digits_subject, Extent(images=6), page))
    page.save()
    return folder, figures


def test_digits_have_no_known_cause_but_all_other_checks(written: tuple[Path, dict[str, object]]) -> None:
    folder, figures = written
    assert set(figures) == {"randomisation", "stability", "deletion"}
    drawn = {path.stem for path in folder.glob("*.png")}
    assert drawn == {"truth_cascade", "truth_random_layers", "truth_deletion"}
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert all(name in text for name in METHODS) and "nan" not in text


def test_the_path_masks_pixels_turn_digits_sooner_than_chance(written: tuple[Path, dict[str, object]]) -> None:
    deletion = written[1]["deletion"]
    assert isinstance(deletion, dict) and deletion["images"] == 6
    areas = deletion["area"]
    assert areas["path mask"] < 0.5 * areas["random order"] and areas["path mask"] < areas["saliency"]


def test_random_layers_change_the_path_mask_and_none_changes_nothing(written: tuple[Path, dict[str, object]]) -> None:
    randomisation = written[1]["randomisation"]
    assert isinstance(randomisation, dict)
    first, *_, last = randomisation["stages"]
    assert first["layers"] == 0 and first["agreement"] == 1
    assert all(
        value == pytest.approx(1) for key in ("correlation", "overlap", "rankings") for value in first[key].values()
    )
    assert last["overlap"]["path mask"] < 0.5 and last["agreement"] < 1


def test_more_noise_leaves_less_of_a_mask(written: tuple[Path, dict[str, object]]) -> None:
    stability = written[1]["stability"]
    assert isinstance(stability, dict)
    least, _, most = stability["noise"]
    assert least["deviation"] < most["deviation"]
    assert 1 >= least["mask_iou_median"] >= most["mask_iou_median"] > 0


def test_a_bundle_without_gradients_is_excused(digits_subject: Subject) -> None:
    assert SECTION.excuse(digits_subject) is None
    forward = replace(digits_subject, models=replace(digits_subject.models, classifier_gradient=None))
    assert "no gradients" in (SECTION.excuse(forward) or "")
