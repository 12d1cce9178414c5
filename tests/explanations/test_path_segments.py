"""Which segments an integrated gradient begins with: what they would miss, and where nothing is asked."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.morph_path import PathPoints
from explaind.explanations.path_segments import FIRST_SEGMENTS, Segmentation, choose, first_nodes
from explaind.explanations.types import DoubleArray

POSITIONS = np.linspace(0.0, 1.0, 100)


def _points(log_odds: DoubleArray, drawn: np.ndarray | None = None) -> PathPoints:
    logits = np.stack([log_odds, np.zeros_like(log_odds)], axis=1)
    return PathPoints(np.linspace(0, 1, len(log_odds)), np.zeros((len(log_odds), 1, 2, 2), np.float32), logits, drawn)


def _sigmoid(values: DoubleArray) -> DoubleArray:
    return 1.0 / (1.0 + np.exp(-values))


def _covered(chosen: Segmentation, last: int) -> list[int]:
    """How many segments lie over each step."""
    steps = np.zeros(last, int)
    for start, end in [*zip(chosen.starts, chosen.ends, strict=True), *chosen.still]:
        steps[start:end] += 1
    return steps.tolist()


@pytest.mark.parametrize("count", [2, 3, 24, 25, 26, 100, 1000])
@pytest.mark.parametrize("steepness", [1.0, 30.0, 3000.0])
def test_the_segments_cover_each_step_once(count: int, steepness: float) -> None:
    chosen = choose(_points(steepness * (np.linspace(0, 1, count) - 0.41)), 0)
    assert _covered(chosen, count - 1) == [1] * (count - 1)


def test_by_the_sigmoid_itself_they_miss_little() -> None:
    """∇p_s in the middle of each, times its length, against the change of p_s."""
    for steepness in (5.0, 40.0, 80.0):
        odds = steepness * (POSITIONS - 0.41)
        chosen = choose(_points(odds), 0)
        middles = 0.5 * (odds[chosen.starts] + odds[chosen.ends])
        moved = _sigmoid(middles) * (1 - _sigmoid(middles)) * (odds[chosen.ends] - odds[chosen.starts])
        missed = moved - (_sigmoid(odds[chosen.ends]) - _sigmoid(odds[chosen.starts]))
        assert np.abs(missed).sum() < 0.025
        assert abs(missed.sum()) < 0.005


def test_where_the_decision_is_sure_nothing_is_asked_and_where_it_turns_most_is() -> None:
    chosen = choose(_points(60.0 * (POSITIONS - 0.5)), 0)
    lengths = chosen.ends - chosen.starts
    assert len(chosen.starts) < FIRST_SEGMENTS
    assert chosen.still.max() == 99
    assert lengths.min() == 1
    assert lengths.max() >= 4
    assert np.abs(POSITIONS[chosen.starts[lengths.argmin()]] - 0.5) < 0.1


def test_a_segment_is_halved_only_where_there_is_an_image() -> None:
    drawn = np.zeros(100, bool)
    drawn[first_nodes(100)] = True
    chosen = choose(_points(200.0 * (POSITIONS - 0.5), drawn), 0)
    assert set(chosen.starts.tolist()) | set(chosen.ends.tolist()) <= set(first_nodes(100).tolist())


def test_many_small_movements_are_asked_about_after_all() -> None:
    """Each step moves p_s by less than a five-thousandth of the whole, all together by more than is to be missed."""
    odds = np.where(POSITIONS < 0.97, -9.0 + 0.15 * (-1.0) ** (np.arange(100) // 4), 9.0)
    assert len(choose(_points(odds), 0).still) > 0
    wavy = np.where(POSITIONS < 0.97, -7.6 + 0.6 * (-1.0) ** (np.arange(100) // 4), 0.0)
    chosen = choose(_points(wavy), 0)
    assert _covered(Segmentation(chosen.starts, chosen.ends, np.empty((0, 2), np.intp)), 99) == [1] * 99


def test_a_path_without_numbers_is_asked_about_whole() -> None:
    chosen = choose(_points(np.full(100, np.nan)), 0)
    assert len(chosen.still) == 0
