"""Points of a path that are not drawn: how near their probabilities and entropies come, and where all are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explaind.errors import Cancelled
from explaind.explanations import sparse_path
from explaind.explanations.budget import Budget
from explaind.explanations.interpolation import cubic
from explaind.explanations.mask_on_path import NO_CHANGE_BELOW
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_path import MorphPath
from explaind.explanations.step_choice import StepChoice
from explaind.explanations.types import Interpolation
from tests.explanations.morphing_models import TemplateClassifier, code_of, constant_models, template_models
from tests.explanations.paths import ends, path_of, pixel_models

PAIR = (0, 1)


class _Counting:
    """An autoencoder that counts the codes it decodes."""

    def __init__(self, autoencoder: Any) -> None:
        self._autoencoder, self.decoded = autoencoder, 0

    def encode(self, images: np.ndarray) -> Any:
        return self._autoencoder.encode(images)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        self.decoded += len(codes)
        return np.asarray(self._autoencoder.decode(codes))


def _counted(models: MorphingModels) -> tuple[MorphPath, _Counting]:
    counting = _Counting(models.autoencoder)
    return path_of(replace(models, autoencoder=counting), ends(code_of(1), code_of(0)), Interpolation.SLERP)[
        0
    ], counting


@pytest.mark.parametrize("count", [75, 100, 101, 400])
def test_points_that_are_not_drawn_are_as_good_as_drawn(count: int) -> None:
    path, counting = _counted(template_models())
    counting.decoded = 0
    sparse, whole = sparse_path.points(path, count, PAIR), path.points(np.linspace(0, 1, count))
    assert sparse.drawn is not None
    assert counting.decoded == count + np.count_nonzero(sparse.drawn)
    assert np.count_nonzero(sparse.drawn) < 0.95 * count
    assert np.abs(sparse.probabilities(0) - whole.probabilities(0)).max() < 1e-5
    assert np.abs(sparse.entropies(*PAIR) - whole.entropies(*PAIR)).max() < 1e-4
    np.testing.assert_array_equal(sparse.positions, whole.positions)
    np.testing.assert_array_equal(sparse.images[sparse.drawn], whole.images[sparse.drawn])
    assert sparse.drawn[[0, -1]].all()


def test_with_every_image_the_rest_is_decoded_and_classified_too_and_the_same_points_count_as_drawn() -> None:
    path, _ = _counted(template_models())
    whole = path.points(np.linspace(0, 1, 100))
    seen = sparse_path.points(path, 100, PAIR, every_image=True)
    np.testing.assert_array_equal(seen.images, whole.images)
    np.testing.assert_allclose(seen.logits, whole.logits, rtol=1e-6)
    np.testing.assert_array_equal(seen.drawn, sparse_path.points(path, 100, PAIR).drawn)


@pytest.mark.parametrize("count", [2, 3, 50, 74])
def test_a_short_path_is_drawn_whole(count: int) -> None:
    path, _ = _counted(template_models())
    assert sparse_path.points(path, count, PAIR).drawn is None


def test_a_probability_that_does_not_change_gives_no_right_to_leave_anything_out() -> None:
    path, _ = path_of(constant_models(), ends(code_of(1), code_of(0)), Interpolation.SLERP)
    drawn = sparse_path.points(path, 100, PAIR).drawn
    assert drawn is not None
    assert drawn.all()


def _on_a_line(logits_of: Any) -> MorphPath:
    """Images of one brightness, from 0 to 1; logits are a function of it."""

    class OfBrightness(TemplateClassifier):
        def __init__(self) -> None: ...

        def logits(self, images: np.ndarray) -> np.ndarray:
            return np.asarray(logits_of(images.reshape(len(images), -1).mean(axis=1).astype(np.float64)), np.float32)

    models = pixel_models(OfBrightness(), 4, 4)
    return path_of(models, ends(np.zeros(16), np.ones(16)))[0]


def test_two_classes_that_are_undecided_beneath_a_third_are_drawn() -> None:
    """p_s is 0 all along the first half, whose entropy over {s, o} is not: both are asked for."""
    path = _on_a_line(lambda t: np.stack([60 * t - 20, -(60 * t - 20), np.where(t < 0.6, 60.0, 0.0)], axis=1))
    drawn = sparse_path.points(path, 100, PAIR).drawn
    assert drawn is not None
    assert drawn[25:42].all()
    assert not drawn[70:].all()


def test_a_decision_that_comes_near_between_two_nodes_is_drawn() -> None:
    """Log-odds of a sawtooth: far from 0 at the nodes beside the tooth, near it between them."""
    path = _on_a_line(lambda t: np.stack([400 * np.abs(t - 0.75) - 4 + 30 * (t > 0.76), np.zeros_like(t)], axis=1))
    drawn = sparse_path.points(path, 100, PAIR).drawn
    assert drawn is not None
    assert drawn[73:77].all()


@pytest.mark.parametrize("count", [75, 100, 250])
@pytest.mark.parametrize("seed", range(30))
def test_every_step_that_is_asked_about_begins_and_ends_at_an_image(seed: int, count: int) -> None:
    """Whatever the decision does on its way: an image that was not drawn is black."""
    random = np.random.default_rng(seed)
    heights = random.normal(0.0, random.choice([3.0, 15.0, 60.0]), (3, random.integers(3, 12)))
    places = np.linspace(0.0, 1.0, heights.shape[1])
    path = _on_a_line(lambda t: np.stack([np.interp(t, places, row) for row in heights], axis=1))
    points = sparse_path.points(path, count, PAIR)
    drawn = np.ones(count, np.bool_) if points.drawn is None else points.drawn
    asked = StepChoice.sparing(points.probabilities(0), points.drawn).asked
    assert drawn[asked].all() and drawn[asked + 1].all()
    p = points.probabilities(0)
    if abs(p[-1] - p[0]) >= NO_CHANGE_BELOW:  # else there is no mask
        moving = np.flatnonzero(np.abs(np.diff(p)) > 2.01e-4 * abs(p[-1] - p[0]))
        assert set(moving.tolist()) <= set(asked.tolist())
    whole = path.points(points.positions)
    np.testing.assert_allclose(points.images[drawn], whole.images[drawn], atol=1e-6)


def test_a_look_that_was_not_close_enough_has_every_point_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sure at every node that was looked at, and what is interpolated between them is not."""
    monkeypatch.setattr(sparse_path, "_BEND", 0.0)
    heights = [-20.0, -20.0, -9.0, -9.0, -20.0, -20.0, -20.0, 9.0, 20.0, 20.0, 20.0, 20.0, 20.0]
    places = np.linspace(0.0, 1.0, len(heights))
    path = _on_a_line(lambda t: np.stack([np.interp(t, places, heights), np.zeros_like(t)], axis=1))
    points = sparse_path.points(path, 100, PAIR)
    assert points.drawn is None and points.images.reshape(100, -1)[1:].any(axis=1).all()


def test_a_step_that_moves_with_an_image_at_one_end_alone_was_not_seen() -> None:
    p, drawn = np.array([0.0, 0.0, 0.05, 1.0, 1.0]), np.array([True, False, True, True, True])
    assert sparse_path._moves_unseen(p, drawn)
    assert not sparse_path._moves_unseen(p, np.array([True, True, True, True, False]))


def test_the_points_beside_one_that_is_not_sure_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without them no step that touches it would have two images."""
    unsure = np.zeros(100, np.bool_)
    unsure[[20, 37, 38, 78]] = True
    monkeypatch.setattr(sparse_path, "_unsure_between", lambda *_: unsure.copy())
    monkeypatch.setattr(sparse_path, "_moves_unseen", lambda *_: False)
    path, _ = _counted(template_models())
    drawn = sparse_path.points(path, 100, PAIR).drawn
    assert drawn is not None
    beyond_the_look = set(np.flatnonzero(drawn).tolist()) - set(np.rint(np.linspace(0, 99, 13)).astype(int).tolist())
    assert beyond_the_look == {19, 20, 21, 36, 37, 38, 39, 77, 78, 79}


def test_cancellation_is_seen_between_the_looks() -> None:
    models, budget = template_models(), Budget()

    class CancelsAfterOne(_Counting):
        def decode(self, codes: np.ndarray) -> np.ndarray:
            if self.decoded == 0:
                budget.cancel()
            return super().decode(codes)

    counting = CancelsAfterOne(models.autoencoder)
    path = MorphPath(replace(models, autoencoder=counting), ends(code_of(1), code_of(0)), Interpolation.SLERP, budget)
    with pytest.raises(Cancelled):
        sparse_path.points(path, 100, PAIR)
    assert counting.decoded == 13


def test_a_cubic_goes_through_its_nodes_and_is_exact_for_parabolas() -> None:
    nodes, at = np.array([0, 2, 3, 7, 11]), np.arange(12)
    values = np.stack([nodes**2 - 3.0 * nodes, np.sin(nodes)], axis=1)
    curve = cubic(nodes, values, at)
    assert curve[:, 0] == pytest.approx(at**2 - 3.0 * at)
    assert curve[nodes] == pytest.approx(values)


def test_logits_that_are_no_numbers_have_every_point_drawn() -> None:
    class _NoNumbers:
        def logits(self, images: np.ndarray) -> np.ndarray:
            return np.full((len(images), 2), np.nan, np.float32)

    models = replace(template_models(), classifier=_NoNumbers())
    path = path_of(models, ends(code_of(1), code_of(0)), Interpolation.SLERP)[0]
    points = sparse_path.points(path, 100, PAIR)
    assert points.drawn is not None and points.drawn.all()
