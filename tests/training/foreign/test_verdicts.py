from __future__ import annotations

import math

import pytest

from explaind.training.foreign.verdicts import Assessment, Figure, Verdict


def _figure(value: float, *, least: bool = True) -> Figure:
    good, doubtful = (0.9, 0.7) if least else (0.1, 0.3)
    return Figure(name="share", value=value, good=good, doubtful=doubtful, least=least, count=50, advice="Train on.")


@pytest.mark.parametrize(
    ("value", "least", "verdict"),
    [
        (0.9, True, Verdict.GOOD), (0.89, True, Verdict.DOUBTFUL), (0.69, True, Verdict.NOT_USABLE),
        (0.1, False, Verdict.GOOD), (0.3, False, Verdict.DOUBTFUL), (0.31, False, Verdict.NOT_USABLE),
        (math.nan, True, Verdict.NOT_USABLE), (math.nan, False, Verdict.NOT_USABLE),
    ],
)  # fmt: skip
def test_a_figure_is_judged_by_its_thresholds(value: float, least: bool, verdict: Verdict) -> None:
    assert _figure(value, least=least).verdict is verdict


def test_an_explanation_is_as_good_as_its_worst_figure() -> None:
    assessment = Assessment(explanation="path_mask", figures=(_figure(1.0), _figure(0.2), _figure(0.8)))
    assert assessment.verdict is Verdict.NOT_USABLE
    assert assessment.sentence() == "path_mask: not usable: share 0.200 (good: ≥ 0.9, doubtful: ≥ 0.7). Train on."


def test_what_is_not_there_is_not_usable_and_says_why() -> None:
    assessment = Assessment(explanation="path_mask", figures=(), absent="no gradients.")
    assert assessment.sentence() == "path_mask: not usable: no gradients."
