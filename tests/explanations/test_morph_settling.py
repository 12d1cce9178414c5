"""Bringing a morph's end back to what encoding and decoding keep of it."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from explaind.errors import Cancelled
from explaind.explanations.budget import Budget
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_settling import ROUNDS, settle
from explaind.explanations.morph_start import MorphStart
from explaind.explanations.morph_walk import Goal, Stop, Walk
from explaind.explanations.types import DecodedCode
from tests.explanations.morphing_models import CLASSES, Decoder, code_of, template_models

GOAL = Goal(target=1, rival=0, class_count=CLASSES, threshold=0.01)


class _Shrinking(Decoder):
    """An encoder that keeps `kept` of every latent, as an encoder does that has not seen such an image."""

    def __init__(self, kept: float) -> None:
        super().__init__()
        self._kept = kept

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean, deviation = super().encode(images)
        return np.float32(self._kept) * mean, deviation


class _Blind(Decoder):
    """The last latent is never looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.patterns[-1] = 0.0


def _models(decoder: Decoder) -> MorphingModels:
    return replace(template_models(), autoencoder=decoder)


def _walk(models: MorphingModels, code: np.ndarray, stop: Stop = Stop.REACHED, steps: int = 5) -> Walk:
    logits = models.classifier.logits(models.autoencoder.decode(code[None].astype(np.float32)))[0]
    return Walk(code=code.astype(np.float64), logits=logits, steps=steps, stop=stop)


def _no_walk(code: np.ndarray, taken: int) -> Walk:
    raise AssertionError("the class was not lost; nothing to walk on for")


def _start(models: MorphingModels, code: np.ndarray) -> MorphStart:
    image = models.autoencoder.decode(code[None].astype(np.float32))
    decoded = DecodedCode(image, models.classifier.logits(image)[0])
    return MorphStart(code=code.astype(np.float64), decoded=decoded, top_class=GOAL.rival, fit=True, agrees=True)


def _settled(decoder: Decoder, start: np.ndarray, end: np.ndarray) -> Walk:
    models = _models(decoder)
    return settle(models, _start(models, start), _walk(models, end), GOAL, _no_walk, Budget())


def test_what_the_round_trip_keeps_stays() -> None:
    end = _settled(Decoder(), code_of(0), code_of(1))
    assert end.code == pytest.approx(code_of(1), abs=1e-3)
    assert (end.stop, end.steps) == (Stop.REACHED, 5)
    assert GOAL.reached(end.logits)


def test_the_way_from_the_start_shrinks_by_what_each_round_trip_keeps() -> None:
    start, aim = np.zeros(6), 1.3 * code_of(1)
    end = _settled(_Shrinking(0.9), start, aim)
    assert end.code == pytest.approx(0.9**ROUNDS * aim, abs=1e-3)


def test_latents_that_the_decoder_does_not_use_keep_the_starts_value() -> None:
    start = code_of(0) + np.array([0, 0, 0, 0, 0, 1.5])
    end = _settled(_Blind(), start, code_of(1) + np.array([0, 0, 0, 0, 0, -2.0]))
    assert end.code[-1] == pytest.approx(1.5)
    assert end.code[:-1] == pytest.approx(code_of(1)[:-1], abs=1e-3)


def test_a_lost_class_is_walked_to_again_and_the_steps_are_added() -> None:
    models, asked = _models(_Shrinking(0.1)), []

    def walk_on(code: np.ndarray, taken: int) -> Walk:
        asked.append((code, taken))
        return _walk(models, code_of(1), steps=3)

    end = settle(models, _start(models, np.zeros(6)), _walk(models, code_of(1)), GOAL, walk_on, Budget())
    assert [taken for _, taken in asked] == [5 + 3 * i for i in range(ROUNDS)]
    assert asked[0][0] == pytest.approx(0.1 * code_of(1), abs=1e-3)
    assert end.steps == 5 + 3 * ROUNDS
    assert end.code.tolist() == code_of(1).tolist()


def test_where_the_class_is_lost_for_good_the_first_end_is_the_answer() -> None:
    models = _models(_Shrinking(0.1))
    first = _walk(models, code_of(1))
    end = settle(
        models,
        _start(models, np.zeros(6)),
        first,
        GOAL,
        lambda code, _: _walk(models, code, Stop.STEPS_SPENT, steps=95),
        Budget(),
    )
    assert end is first


@pytest.mark.parametrize("stop", [Stop.STEPS_SPENT, Stop.DEADLINE, Stop.FLAT])
def test_a_walk_that_did_not_arrive_is_left_alone(stop: Stop) -> None:
    models = _models(_Shrinking(0.8))
    walk = _walk(models, code_of(1), stop)
    assert settle(models, _start(models, np.zeros(6)), walk, GOAL, _no_walk, Budget()) is walk


def test_near_the_deadline_the_end_is_taken_as_it_is() -> None:
    models = _models(_Shrinking(0.8))
    walk = _walk(models, code_of(1))
    assert settle(models, _start(models, np.zeros(6)), walk, GOAL, _no_walk, Budget(deadline=time.monotonic())) is walk


def test_cancellation_ends_it() -> None:
    models, budget = _models(_Shrinking(0.8)), Budget()
    budget.cancel()
    with pytest.raises(Cancelled):
        settle(models, _start(models, np.zeros(6)), _walk(models, code_of(1)), GOAL, _no_walk, budget)
