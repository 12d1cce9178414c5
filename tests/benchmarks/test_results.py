"""JSON, tables, bars and the page: the same figures everywhere, and the committed page is of the committed run."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.benchmarks import bars, page
from tests.benchmarks.__main__ import PARTS, main
from tests.benchmarks.parts import open_load
from tests.benchmarks.results import Part, Results
from tests.benchmarks.tables import cell, markdown

MACHINE = {
    "processor": "a processor",
    "cores": 2,
    "load_before": 0.1,
    "cuda_devices": 0,
    "python": "3.11",
    "packages": {"numpy": "2"},
    "commit": "abc",
}


def row(what: str, how: str, **figures: object) -> dict[str, object]:
    return {"what": what, "how": how, **figures}


@pytest.fixture
def results() -> Results:
    explanations = Part(
        name="explanations",
        title="Title",
        rows=[
            row("all three", "in process, one thread", median_ms=30.0, turn_medians_ms=[30.0, 30.0, 90.0]),
            row("all three", "bare sessions", median_ms=24.0, turn_medians_ms=[24.0, 24.0, 72.0]),
            row("ranking + anomaly", "gRPC echo", median_ms=1.0, p99_ms=math.nan),
        ],
        notes=("A note.",),
    )
    front = Part(name="front", title="Title", rows=[row("ranking + anomaly", "", besides_ms=3.0, echoes=3.0)])
    return Results(MACHINE, {"explanations": explanations, "front": front})


def test_what_is_written_is_read(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path / "run.json")
    again = Results.read(tmp_path / "run.json")
    assert again.figure("explanations", "all three", "bare sessions", "median_ms") == 24
    assert math.isnan(again.figure("explanations", "ranking + anomaly", "gRPC echo", "p99_ms"))
    assert math.isnan(again.figure("no such part", "", "", "median_ms"))
    assert markdown(again.parts["explanations"]) == markdown(results.parts["explanations"])


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (math.nan, "–"),
        (True, "yes"),
        ("text", "text"),
        (0.01234, "0.012"),
        (0.0, "0.00"),
        (1.2345, "1.23"),
        (99.96, "100."),
        (123.4, "123"),
        (12345.6, "12\u202f346"),
        (7, "7"),
    ],
)
def test_cells_have_three_figures(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_bars_are_computed_from_the_run_and_say_what_was_not(results: Results) -> None:
    told = {each["what"]: each for each in bars.part(results).rows}
    assert told["all three against the bare session calls in them"]["measured"] == pytest.approx(1.25)
    assert told["all three against the bare session calls in them"]["passed"] == "yes"
    hop = told["what gRPC adds to ranking + anomaly, in echoes of the same bytes"]
    assert hop["measured"] == pytest.approx(3.0) and hop["passed"] == "**no**"
    assert told["CPU seconds of a cold start to SERVING"]["passed"] == "not run"


def test_the_page_takes_the_tables_and_keeps_its_prose(results: Results) -> None:
    end = "<!-- end of table -->\n"
    text = f"Prose.\n\n<!-- table: explanations -->\nold\n{end}\n<!-- table: peers -->\n{end}End.\n"
    filled = page.filled(text, results)
    assert filled.startswith("Prose.\n\n<!-- table: explanations -->\n|") and filled.endswith("End.\n")
    assert "old" not in filled and "*Not measured yet.*" in filled
    assert page.filled(filled, results) == filled


def test_the_committed_page_shows_the_committed_run() -> None:
    text = page.PAGE.read_text(encoding="utf-8")
    assert page.committed(text) == text
    assert len(page._BLOCK.findall(text)) == text.count("<!-- table:") >= len(page.ORDER)


def test_every_bar_of_the_issue_has_a_row_of_its_own() -> None:
    names = [bar.what for bar in bars.BARS]
    assert len(set(names)) == len(names) == 26


def test_a_ratio_is_of_two_things_in_the_same_turn(results: Results) -> None:
    """Each is slow in one turn more than the other: of the medians the ratio would be 3.75."""
    explanations = results.parts["explanations"]
    explanations.rows[0]["turn_medians_ms"], explanations.rows[1]["turn_medians_ms"] = [30, 90, 90], [24, 24, 72]
    (told,) = (bar.row(results)["measured"] for bar in bars.BARS if "bare session" in bar.what)
    assert told == pytest.approx(1.25)
    explanations.rows[1]["turn_medians_ms"] = [24, 24]
    (told,) = (bar.row(results)["measured"] for bar in bars.BARS if "bare session" in bar.what)
    assert math.isnan(told)


@pytest.mark.parametrize("measured", [[], [open_load.AT_70_BROKEN], [open_load.AT_70_ADDED]])
def test_a_bar_of_which_a_part_was_not_measured_is_not_passed(measured: list[str]) -> None:
    rows = [row("path mask", how, lost_beyond_without=0) for how in measured]
    (lost,) = (bar for bar in bars.BARS if "lost" in bar.what)
    assert lost.row(Results(MACHINE, {"open loop": Part(name="open loop", title="", rows=rows)}))["passed"] == "not run"


@pytest.mark.parametrize("arguments", [["--only", "nothing"], ["--turns", "many"]])
def test_wrong_usage_ends_with_two(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_parts_are_there() -> None:
    folder = Path(__file__).parent / "parts"
    assert {path.stem for path in folder.glob("*.py")} == set(PARTS)
