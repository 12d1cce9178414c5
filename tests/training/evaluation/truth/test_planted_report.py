"""What a report owes its reader where a space was trained with labels."""

from __future__ import annotations

from explaind.training.evaluation.truth.planted_rankings import BAR, SOURCES_METHODS, WITHOUT_LABELS
from explaind.training.evaluation.truth.planted_report import without_labels


def test_what_was_reached_without_labels_stays_beside_it() -> None:
    assert "generated images 0.960, original images 0.790, random forest 0.905, sobol 0.700" in without_labels("shape")
    assert without_labels("x") == without_labels("mark") == ""


def test_labels_are_only_excused_where_the_bar_was_missed_without_them() -> None:
    for shares in WITHOUT_LABELS.values():
        assert sum(shares[method] >= BAR for method in SOURCES_METHODS) < 2
