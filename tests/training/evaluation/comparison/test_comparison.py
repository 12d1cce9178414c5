"""Changes drawn on faces, and which latent says so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from explaind.explanations.types import Factor, FloatArray
from explaind.training.evaluation.anomaly.fitting_in import Window
from explaind.training.evaluation.comparison.compared import compare_pairs, typical
from explaind.training.evaluation.comparison.drawn_changes import CHANGES, SIDE, changed
from explaind.training.evaluation.comparison.section import SECTION
from explaind.training.evaluation.subject import Subject

WINDOW = Window(6, 25, 6, 25)


def _faces(count: int = 3) -> FloatArray:
    """Grey squares of different brightness in a black frame."""
    images = np.zeros((count, 1, 32, 32), np.float32)
    images[..., 6:25, 6:25] = np.linspace(0.4, 0.8, count, dtype=np.float32).reshape(-1, 1, 1, 1)
    return images


@pytest.mark.parametrize("key", sorted(CHANGES))
def test_a_change_stays_in_the_face_and_leaves_the_original(key: str) -> None:
    images = _faces()
    before = images.copy()
    copy = changed(images, WINDOW, CHANGES[key][1])
    assert np.array_equal(images, before)
    assert not np.array_equal(copy, images)
    outside = np.ones((32, 32), bool)
    outside[6:25, 6:25] = False
    assert not copy[..., outside].any()
    assert copy.min() >= 0
    assert copy.max() <= 1


def test_each_thing_is_drawn_where_it_belongs() -> None:
    face = np.full((1, 1, SIDE, SIDE), 0.6, np.float32)
    glasses, lip = (CHANGES[key][1](face)[0, 0] < 0.5 for key in ("sunglasses", "moustache"))
    assert np.array_equal(np.flatnonzero(glasses.any(axis=1)), [3, 4, 5, 6])
    assert np.array_equal(np.flatnonzero(lip.any(axis=1)), [12, 13])
    assert np.array_equal(glasses, glasses[:, ::-1])
    light = CHANGES["light"][1](face)[0, 0]
    assert (np.diff(light, axis=1) < 0).all()


class _Areas:
    """An encoder whose latents are the brightness of the eyes' rows, of the lip's, and left less right."""

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        face = images[:, 0, 6:25, 6:25]
        columns = [face[:, 3:7].mean((1, 2)), face[:, 12:14].mean((1, 2)),
                   face[:, :, :9].mean((1, 2)) - face[:, :, 10:].mean((1, 2))]  # fmt: skip
        mean = np.stack(columns, axis=1)
        return mean, np.ones_like(mean)


def test_the_latent_of_what_changed_comes_first(digits_subject: Subject) -> None:
    served = digits_subject.ranking_reference()
    reference = dataclasses.replace(served, used=np.array([True] * 3), deviation=np.full(3, 0.1))
    factors = tuple(Factor(dimensions=(d,), label=name) for d, name in enumerate(("eyes", "lip", "side")))
    images = _faces(5)
    for key, expected in (("sunglasses", "eyes"), ("moustache", "lip"), ("light", "side")):
        pairs = compare_pairs(_Areas(), reference, factors, images, changed(images, WINDOW, CHANGES[key][1]))
        assert pairs.names(factors) == (expected, 1.0)
        assert abs(typical(pairs)[[f.label for f in factors].index(expected)]) > 0.5
        assert ((pairs.same_p_values >= 0) & (pairs.same_p_values <= 1)).all()


def test_unused_latents_are_never_first(digits_subject: Subject) -> None:
    served = digits_subject.ranking_reference()
    reference = dataclasses.replace(served, used=np.array([False, True, True]), deviation=np.full(3, 0.1))
    factors = tuple(Factor(dimensions=(d,), label=f"z{d}") for d in range(3))
    images = _faces(4)
    pairs = compare_pairs(_Areas(), reference, factors, images, changed(images, WINDOW, CHANGES["sunglasses"][1]))
    assert not (pairs.first == 0).any()
    assert np.isnan(pairs.z_scores[:, 0]).all()
    assert typical(pairs)[0] == 0


def test_other_sets_are_excused(digits_subject: Subject) -> None:
    excuse = SECTION.excuse(digits_subject)
    assert excuse is not None
    assert "faces" in excuse
