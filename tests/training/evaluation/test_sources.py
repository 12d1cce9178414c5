"""The table of the sources' figures and ours: generated, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from explaind.errors import ConfigurationError
from explaind.training.evaluation.morphing.morphs import WALK
from explaind.training.evaluation.sources.row import NOT_MEASURED, Against, Compared, Measured, Row
from explaind.training.evaluation.sources.table import ROWS, table_text, write_table
from tests.conftest import ROOT


@pytest.fixture
def measured(tmp_path: Path) -> Measured:
    (tmp_path / "store/mnist").mkdir(parents=True)
    figures = {"morphing": {"fast": {"failure_rate": 0.0041, "images": 500}}, "names": {"a / b": {"rho": 0.5}}}
    (tmp_path / "store/mnist/evaluation.json").write_text(json.dumps(figures), encoding="utf-8")
    (tmp_path / "results/study").mkdir(parents=True)
    (tmp_path / "results/study/results.json").write_text('{"models": {"S1": {"nmae": 0.05}}}', encoding="utf-8")
    return Measured(tmp_path / "store", tmp_path / "results")


def _row(ours: str, verdict: Against | str = "") -> Row:
    return Row(source="[PM]", what="failures", figure="0.03", ours=ours, work="yes", verdict=verdict)


@pytest.mark.parametrize(
    ("figure", "digits", "lower", "word"),
    [(0.03, 2, True, "better"), (0.03, 2, False, "worse"), (0.00, 2, True, "alike"), (0.004, 3, True, "alike"),
     (0.001, 3, True, "worse")],
)  # fmt: skip
def test_verdicts_count_the_digits_that_the_source_prints(
    measured: Measured, figure: float, digits: int, lower: bool, word: str
) -> None:
    against = Against("mnist:morphing.fast.failure_rate", figure, digits, lower=lower)
    assert against.verdict(measured) == word


def test_ours_is_read_formatted_and_linked(measured: Measured) -> None:
    cells = _row("{mnist:morphing.fast.failure_rate .3f} of {mnist:morphing.fast.images}, {mnist:names.a / b.rho .1f}")
    assert cells.cells(measured)[3] == "0.004 of 500, 0.5 ([mnist](mnist/README.md))"
    study = _row(
        "{study/results.json:models.S1.nmae .2f}",
        Against("study/results.json:models.S1.nmae", 0.04, 2, lower=True, of="NMAE"),
    )
    assert study.cells(measured)[3:] == ("0.05 ([study](study/README.md))", "yes", "NMAE worse")


@pytest.mark.parametrize(
    ("larger", "smaller", "word"),
    [("names.a / b.rho", "morphing.fast.failure_rate", "confirmed"),
     ("morphing.fast.failure_rate", "names.a / b.rho", "not confirmed"), ("names", "gone", NOT_MEASURED)],
)  # fmt: skip
def test_a_claim_of_more_is_confirmed_or_not(measured: Measured, larger: str, smaller: str, word: str) -> None:
    assert Compared(f"mnist:{larger}", f"mnist:{smaller}").verdict(measured) == word


@pytest.mark.parametrize("place", ["mnist:morphing.slow.failure_rate", "letters:morphing", "none/results.json:x"])
def test_what_is_not_measured_has_no_verdict(measured: Measured, place: str) -> None:
    cells = _row(f"{{{place} .3f}}", Against(place, 0.03, 2)).cells(measured)
    assert cells[3] == NOT_MEASURED and cells[5] == "–"


def test_a_file_that_is_no_json_is_named(measured: Measured) -> None:
    measured.file("mnist").write_text("{", encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"mnist/evaluation\.json is not JSON"):
        measured.value("mnist:a")


def test_the_committed_table_is_the_generated_one() -> None:
    generated = table_text(Measured(ROOT / "model_store", ROOT / "docs/results"))
    committed = (ROOT / "docs/results/README.md").read_text(encoding="utf-8")
    assert committed == generated, "write it again: explaind evaluate --table"


def test_every_row_has_a_verdict_or_says_why_there_is_none() -> None:
    for row in ROWS:
        assert row.source in ("[PM]", "[LR]", "[AN]") and row.what and row.figure and row.work
        assert row.verdict, row.what
        assert row.files() or row.ours == "–", row.what
        if isinstance(row.verdict, Against):
            assert "{" + row.verdict.place in row.ours, row.what


def test_bundles_measured_with_an_earlier_walk_are_named(measured: Measured) -> None:
    def walked(**more: object) -> str:
        measured.file("mnist").write_text(json.dumps({"morphing": {"fast": {"steps": 5}, **more}}), encoding="utf-8")
        return table_text(measured)

    assert "mnist: morphing." in walked() and "Measured with an earlier walk" in walked()
    assert "mnist: morphing." in walked(walk={**WALK, "longest_step": 0.25})
    assert "earlier walk" not in walked(walk=WALK)


@pytest.mark.parametrize(("walk", "named"), [({}, True), ({"walk": WALK}, False)])
def test_other_sections_with_ends_of_an_earlier_walk_are_named_too(
    measured: Measured, walk: dict[str, object], named: bool
) -> None:
    figures = {
        "morphing": {"fast": {}, "walk": WALK},
        "path_mask": {"outcomes": {"converged": 5}, **walk},
        "truth": {"excuse": "none"},
    }
    measured.file("mnist").write_text(json.dumps(figures), encoding="utf-8")
    assert ("mnist: path_mask." in table_text(measured)) is named


def test_it_is_written_whole(measured: Measured, tmp_path: Path) -> None:
    path = write_table(measured.store, measured.results)
    assert path.read_text(encoding="utf-8") == table_text(measured)
    assert [file.name for file in path.parent.iterdir() if file.is_file()] == ["README.md"]
    with pytest.raises(ConfigurationError, match="/proc/results"):
        write_table(measured.store, Path("/proc/results"))
