"""An evaluation's sections, what it keeps of earlier runs, and how it fails."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from explaind.errors import BundleInvalid, ConfigurationError
from explaind.figures.charts import chart
from explaind.training.evaluation import evaluate as evaluation
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.sections import SECTIONS
from explaind.training.evaluation.subject import Subject
from tests.training.evaluation.conftest import SMALL


def _counting(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    page.text(f"{len(subject.images)} images, {extent.images} of them looked at.")
    return {"images": len(subject.images), "looked_at": extent.images, "ratio": float("nan")}


def _drawing(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    figure, (axes,) = chart(300, 200)
    axes.plot([0, 1], [0, 1])
    page.figure("line", figure, "A line.")
    return {"classes": subject.manifest.class_names}


def _failing(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    page.text("Half of a sentence")
    raise BundleInvalid("The bundle has no such thing; train it again.\n/home/somebody: a log of this machine")


COUNTING, DRAWING = Section("counting", "Counting", _counting), Section("drawing", "Drawing", _drawing)
FAILING = Section("failing", "Failing", _failing)
EXCUSED = Section("excused", "Excused", _failing, lambda subject: "Digits have no such factors.")


@pytest.fixture
def run(digits_bundle: Path, digits_data: Path, tmp_path: Path) -> Any:
    """Evaluates the copy of the bundle with these sections; returns evaluation.json."""

    def call(*sections: Section, only: tuple[str, ...] = (), extent: Extent = SMALL) -> Any:
        evaluation.evaluate(
            digits_bundle,
            data=digits_data,
            results=tmp_path / "results",
            sections=sections,
            only=only,
            extent=extent,
        )
        return json.loads((digits_bundle / evaluation.FILE_NAME).read_text(encoding="utf-8"))

    return call


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "results/mnist/README.md"


def test_sections_stand_in_their_order_with_figures_in_both_files(run: Any, page: Path) -> None:
    found = run(COUNTING, DRAWING)
    assert found["counting"] == {"images": 60, "looked_at": 12, "ratio": None}
    assert found["drawing"]["classes"] == [str(digit) for digit in range(10)]
    text = page.read_text(encoding="utf-8")
    assert text.index("## Counting") < text.index("60 images, 12 of them") < text.index("## Drawing")
    assert "![A line.](line.png)" in text and (page.parent / "line.png").stat().st_size > 1000


def test_one_section_again_keeps_the_others(run: Any, page: Path) -> None:
    run(COUNTING, DRAWING)
    again = run(COUNTING, DRAWING, only=("counting",), extent=Extent(images=7))
    assert again["counting"]["looked_at"] == 7 and again["drawing"]["classes"][9] == "9"
    text = page.read_text(encoding="utf-8")
    assert "7 of them looked at" in text and "12 of them" not in text
    assert text.count("## Counting") == 1 and "![A line.]" in text


def test_figures_of_another_build_are_not_kept(run: Any, digits_bundle: Path, page: Path) -> None:
    run(COUNTING, DRAWING)
    file = digits_bundle / evaluation.FILE_NAME
    other = {**json.loads(file.read_text(encoding="utf-8")), "bundle_digest": "0" * 64}
    file.write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="another build"):
        run(COUNTING, DRAWING, only=("counting",))
    found = run(COUNTING)
    assert "drawing" not in found and "Drawing" not in page.read_text(encoding="utf-8")


def test_a_section_without_figures_leaves_the_page(run: Any, digits_bundle: Path, page: Path) -> None:
    """As where evaluation.json was deleted, to measure another build section by section."""
    run(COUNTING, DRAWING)
    (digits_bundle / evaluation.FILE_NAME).unlink()
    run(COUNTING, DRAWING, only=("counting",))
    text = page.read_text(encoding="utf-8")
    assert "## Counting" in text and "Drawing" not in text


def test_a_failing_section_says_so_and_the_rest_goes_on(run: Any, page: Path) -> None:
    found = run(FAILING, COUNTING)
    assert found["failing"] == {"failed": "The bundle has no such thing; train it again."}
    assert found["counting"]["images"] == 60
    text = page.read_text(encoding="utf-8")
    assert "**Failed:** The bundle has no such thing" in text and "somebody" not in text


def test_a_section_for_other_bundles_gives_its_excuse(run: Any, page: Path) -> None:
    assert run(EXCUSED)["excused"] == {"excuse": "Digits have no such factors."}
    assert "Digits have no such factors." in page.read_text(encoding="utf-8")


def test_an_unknown_section_names_those_there_are(run: Any) -> None:
    with pytest.raises(ConfigurationError, match="no section moon; choose among counting, drawing"):
        run(COUNTING, DRAWING, only=("moon",))


def test_a_broken_evaluation_is_named(run: Any, digits_bundle: Path) -> None:
    (digits_bundle / evaluation.FILE_NAME).write_text("{", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"evaluation\.json cannot be read"):
        run(COUNTING)


def test_results_that_cannot_be_written_are_named(digits_bundle: Path, digits_data: Path) -> None:
    with pytest.raises(ConfigurationError, match="/proc/results"):
        evaluation.evaluate(digits_bundle, data=digits_data, results=Path("/proc/results"), sections=(COUNTING,))


def test_every_section_has_a_key_and_a_title_of_its_own() -> None:
    keys = [section.key for section in SECTIONS]
    assert len(set(keys)) == len(keys) and len({section.title for section in SECTIONS}) == len(keys)
