"""Orders compared, the source's global measures, and what a forest knows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explaind.explanations import bin_table
from explaind.explanations.types import ImportanceMeasure, RankingMethod
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.rankings import forest_questions, section
from explaind.training.evaluation.rankings.agreement_of_orders import agreement
from explaind.training.evaluation.rankings.forest_questions import Codes, Question
from explaind.training.evaluation.rankings.global_rankings import columns
from explaind.training.evaluation.rankings.local_rankings import agreements, local_importances
from explaind.training.evaluation.subject import Subject
from tests.training.evaluation.conftest import SMALL


def test_orders_alike_reversed_and_none() -> None:
    rising = np.array([1.0, 2.0, 5.0, 9.0])
    same, turned = agreement(rising, rising**3), agreement(rising, -rising)
    assert np.allclose((same.spearman, same.kendall), 1) and same.same_first
    assert np.allclose((turned.spearman, turned.kendall), -1) and not turned.same_first
    for nothing in (agreement(rising, np.ones(4)), agreement(rising[:2], rising[:2])):
        assert np.isnan(nothing.spearman) and np.isnan(nothing.kendall)


def test_one_swap_of_four() -> None:
    swapped = agreement(np.array([1.0, 2.0, 3.0, 4.0]), np.array([1.0, 3.0, 2.0, 4.0]))
    assert swapped.kendall == pytest.approx(4 / 6) and swapped.spearman == pytest.approx(0.8)


def test_the_sources_columns_are_its_definitions(digits_subject: Subject) -> None:
    reference = digits_subject.ranking_reference()
    table = columns(reference)
    assert [key for key, column in table.items() if column.of_source] == ["generated", "original", "forest"]
    by_hand = reference.generated_probability.astype(np.float64).std(axis=1).mean(axis=1)
    assert np.allclose(table["generated"].importance, by_hand)
    bins = np.abs(bin_table.BINS) < 2
    latent = int(np.flatnonzero(reference.used)[0])
    filled = bins & (reference.bin_counts[latent] > 0)
    deviation = reference.bin_probability[latent][filled].astype(np.float64).std(axis=0).mean()
    assert table["original"].importance[latent] == pytest.approx(deviation)
    assert np.array_equal(table["forest"].importance, reference.impurity)


def test_local_rankings_of_real_digits_agree_with_themselves(digits_subject: Subject) -> None:
    models, reference = digits_subject.models.ranking("ranking"), digits_subject.ranking_reference()
    assert models is not None
    rows = [
        local_importances(models, reference, digits_subject.images[i], digits_subject.predictions[i]) for i in range(3)
    ]
    assert set(rows[0]) == set(RankingMethod)
    assert all(len(values) == 10 and np.all(values >= 0) for row in rows for values in row.values())
    spread = agreements(rows)
    assert len(spread) == 6
    for pair in spread.values():
        assert pair.spearman[1] <= pair.spearman[0] <= pair.spearman[2]
        assert -1 <= pair.kendall[0] <= 1 and 0 <= pair.same_first <= 1


def _planted(count: int, seed: int, *, noise: bool = False) -> Codes:
    """Class 1 where the first of three latents is positive; with noise, whatever the latents say."""
    rng = np.random.default_rng(seed)
    means = rng.normal(size=(count, 3)).astype(np.float32)
    answers = rng.random(count) > 0.5 if noise else means[:, 0] > 0
    logits = np.stack([np.zeros(count), np.where(answers, 1.0, -1.0), np.full(count, 5.0)], axis=1)
    return Codes(means, logits.astype(np.float32), rng.integers(0, 2, count))


def test_a_forest_learns_a_planted_rule_and_no_coin(digits_subject: Subject) -> None:
    known = forest_questions.ask(_planted(400, 1), _planted(200, 2), (0, 1), seed=0)
    coin = forest_questions.ask(_planted(400, 1, noise=True), _planted(200, 2, noise=True), (0, 1), seed=0)
    assert known is not None and coin is not None
    assert known.fidelity >= 0.97 and known.held_out == 200 and not known.easy
    assert abs(coin.fidelity - 0.5) < 0.15
    source = forest_questions.source_forest(_planted(200, 1), _planted(100, 2), (0, 1), seed=0)
    assert source.cross_validation >= 0.95 and source.held_out >= 0.95


def test_a_question_with_one_answer_is_none() -> None:
    codes = _planted(50, 1)
    one = Codes(codes.means, np.tile(np.array([1, 0, 0], np.float32), (50, 1)), codes.labels)
    assert forest_questions.ask(one, codes, (0, 1), seed=0) is None


def test_pairs_and_the_best_that_is_not_easy() -> None:
    assert len(forest_questions.pairs_of(10, 99)) == 45
    assert forest_questions.pairs_of(10, 3) == [(0, 1), (2, 8), (8, 9)]
    assert forest_questions.pairs_of(2, 45) == [(0, 1)]

    def question(majority: float, fidelity: float) -> Question:
        return Question(
            classes=(0, 1), images=9, held_out=9, majority=majority, fidelity=fidelity, served_fidelity=fidelity
        )

    easy, hard, harder = question(0.7, 0.99), question(0.6, 0.9), question(0.5, 0.95)
    assert forest_questions.best([easy, hard, harder]) is harder
    assert forest_questions.best([easy]) is None


def test_the_section_on_real_digits(digits_subject: Subject, tmp_path: Path) -> None:
    figures = section.SECTION.run(digits_subject, SMALL, Page(tmp_path, "Rankings", level=2))
    assert {path.stem for path in tmp_path.glob("*.png")} == {
        "rankings_global", "rankings_agreement", "rankings_forest"}  # fmt: skip
    forest = figures["forest"]
    assert isinstance(forest, dict)
    assert forest["served"] == digits_subject.ranking_reference().forest_fidelity and forest["unbounded"] is None
    assert 0.1 <= forest["majority_rate"] <= 0.3
    local = figures["local"]
    assert isinstance(local, dict) and local["images"] == 12 and len(local["agreement"]) == 6


def test_probability_measures_saturate_where_log_odds_do_not(digits_subject: Subject) -> None:
    """Why ours are log-odds: the source's Table 11 has 11 of 15 latents within 0.04 below the ceiling of 0.5."""
    reference = digits_subject.ranking_reference()
    used = reference.used
    table = columns(reference)
    assert table["generated"].importance[used].max() <= 0.5
    odds = bin_table.global_importance(reference, ImportanceMeasure.LOGIT_DEVIATION, 3)
    assert odds[used].max() > 0.5
