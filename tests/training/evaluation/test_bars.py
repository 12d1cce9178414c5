"""What a bundle must reach, and that each has its own bars."""

from __future__ import annotations

import pytest

from explaind.training.evaluation.bars import BARS, EVERY_BUNDLE, Bar, bars_of, judge_all, table_of


def _evaluation(bundle: str, failures: float, judged: float) -> dict[str, object]:
    return {"bundle": bundle, "morphing": {"fast": {"failure_rate": failures, "judge_agreement": judged}}}


@pytest.mark.parametrize(
    ("bundle", "failures", "judged", "passed"),
    [("mnist", 0.01, 0.9, (True, True)), ("letters", 0.02, 0.89, (False, False)), ("fashion", 0.05, 0.75, (True, True)),
     ("fashion", 0.06, 0.74, (False, False))],
)  # fmt: skip
def test_morphs_of_each_bundle(bundle: str, failures: float, judged: float, passed: tuple[bool, bool]) -> None:
    verdicts = judge_all(_evaluation(bundle, failures, judged))
    assert tuple(verdict["passed"] for verdict in verdicts) == passed


def test_an_unknown_bundle_has_the_common_bars() -> None:
    assert bars_of("mine") == EVERY_BUNDLE
    assert judge_all({"bundle": "mine"}) == []


def test_the_table_says_what_was_not_measured_and_what_was_not_passed() -> None:
    header, rows = table_of(_evaluation("letters", 0.5, 0.95))
    said = {str(row[0]): row[-1] for row in rows}
    assert len(header) == 4 and said["morph failure rate"] == "**not passed**"
    assert said["second classifier agrees with the morph"] == "passed"
    assert said["worst completeness gap"] == "not measured"


def test_a_text_in_a_figures_place_is_no_figure() -> None:
    bar = Bar("x", "a.b", "≥", 1.0)
    assert bar.judge({"a": {"b": "excused"}}) is None and bar.judge({"a": 3}) is None


def test_titles_are_unique_within_a_bundle() -> None:
    for name in BARS:
        titles = [bar.title for bar in bars_of(name)]
        assert len(set(titles)) == len(titles)


@pytest.mark.parametrize(("gain", "passed"), [(0.01, True), (0.0, False), (-0.01, False)])
def test_latents_must_add_something_on_faces(gain: float, passed: bool) -> None:
    (verdict,) = judge_all({"bundle": "faces", "protocol": {"gain_of_latents": gain}})
    assert verdict["passed"] is passed and verdict["bar"] == "> 0"
