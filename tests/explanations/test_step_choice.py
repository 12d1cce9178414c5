"""Which steps are asked about: all where p_s moves, few where it hardly does, none where it does not."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.explanations.step_choice import StepChoice


def _sigmoid(count: int, slope: float = 40.0) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-slope * (np.linspace(0, 1, count) - 0.5))))


def test_every_step_is_asked_and_sloped_without_sparing() -> None:
    choice = StepChoice.every(7)
    assert choice.asked.tolist() == list(range(7))
    assert choice.steep == choice.sloped == 7
    assert choice.spread is None
    assert not choice.still.any()


@pytest.mark.parametrize("count", [100, 400, 1000])
def test_the_less_a_step_can_move_the_probability_the_fewer_are_asked(count: int) -> None:
    p = _sigmoid(count)
    choice = StepChoice.sparing(p, None)
    variable = np.maximum(p[1:] * (1 - p[1:]), p[:-1] * (1 - p[:-1]))
    sloped, steep = choice.asked[: choice.sloped], choice.asked[: choice.steep]
    assert variable[sloped].min() > 1.9e-3
    assert variable[choice.asked].min() > 1.4e-4
    assert variable[steep].min() > 0.049
    assert variable[sloped[choice.steep :]].max() < 0.05
    assert 0 < len(steep) < len(sloped) < len(choice.asked) < count - 1
    density = (count - 1) / 99
    assert np.diff(np.sort(sloped)).max() <= 4 * density + 1
    within = np.sort(sloped[variable[sloped] > 0.051])
    assert np.diff(within).max() <= max(1, round(density))
    assert set(steep) >= set(within)


def test_what_is_left_out_is_counted_by_its_neighbours() -> None:
    p = _sigmoid(100)
    choice = StepChoice.sparing(p, None)
    asked = np.diff(p)[choice.asked].sum()
    assert asked + choice.still.sum() == pytest.approx(p[-1] - p[0])
    assert choice.still.sum() < 2e-3
    assert choice.spread is not None
    assert choice.spread.sum(axis=0) == pytest.approx(np.ones(len(choice.asked)))
    assert choice.spread[:, : choice.sloped] == pytest.approx(np.eye(choice.sloped))
    middles = choice.asked[: choice.sloped] @ choice.spread  # what is linear along the path is found again
    within = (choice.asked > choice.asked[: choice.sloped].min()) & (choice.asked < choice.asked[: choice.sloped].max())
    assert middles[within] == pytest.approx(choice.asked[within])


def test_a_longer_path_asks_for_no_more_gradients() -> None:
    few, many = (StepChoice.sparing(_sigmoid(count), None) for count in (100, 1000))
    assert many.sloped <= 1.3 * few.sloped
    assert many.steep <= 1.3 * few.steep


def test_steps_without_both_images_are_never_asked() -> None:
    p, drawn = _sigmoid(100), np.ones(100, np.bool_)
    drawn[40] = False
    assert not {39, 40} & set(StepChoice.sparing(p, drawn).asked.tolist())


@pytest.mark.parametrize("p", [[0.0, 1.0], [0.3, 0.3001], [0.0, 0.0, 1.0, 1.0], [0.5, 0.5, 0.5, 0.5], [1.0, 1.0, 1.0]])
def test_some_step_is_always_sloped(p: list[float]) -> None:
    choice = StepChoice.sparing(np.array(p), None)
    assert choice.sloped > 0
