"""The bundle's networks opened, and layers made random one after another."""

from __future__ import annotations

import numpy as np
import pytest

from explaind.backends import weights as stored_weights
from explaind.errors import ParameterOutOfRange
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth.white_box import classifier_layers, open_white_box, randomised


def test_it_answers_as_the_served_classifier(digits_subject: Subject) -> None:
    images = digits_subject.images[:10]
    box = open_white_box(digits_subject)
    assert box.morphing.classifier.logits(images) == pytest.approx(
        digits_subject.models.classifier.logits(images), abs=1e-3
    )


def test_layers_are_counted_from_the_top(digits_subject: Subject) -> None:
    weights = stored_weights.read(digits_subject.folder)
    layers = classifier_layers(weights)
    assert list(layers) == sorted(layers, reverse=True)
    assert weights[f"classifier.{layers[0]}.weight"].shape[0] == 10


def test_a_random_layer_keeps_its_values_and_loses_their_places(digits_subject: Subject) -> None:
    weights = stored_weights.read(digits_subject.folder)
    top, next_ = classifier_layers(weights)[:2]
    changed = randomised(weights, [top], 3)
    name = f"classifier.{top}.weight"
    assert not np.array_equal(changed[name], weights[name])
    assert np.array_equal(np.sort(changed[name], axis=None), np.sort(weights[name], axis=None))
    assert all(np.array_equal(changed[n], weights[n]) for n in weights if not n.startswith(f"classifier.{top}."))
    both = randomised(weights, [top, next_], 3)
    assert np.array_equal(both[name], changed[name])
    assert not np.array_equal(randomised(weights, [top], 4)[name], changed[name])


def test_a_random_classifier_decides_otherwise(digits_subject: Subject) -> None:
    weights = stored_weights.read(digits_subject.folder)
    box = open_white_box(digits_subject, randomised(weights, classifier_layers(weights), 0))
    before = digits_subject.predicted
    after = box.morphing.classifier.logits(digits_subject.images).argmax(axis=1)
    assert np.mean(before == after) < 0.5


def test_a_layer_without_weights_is_refused(digits_subject: Subject) -> None:
    with pytest.raises(ParameterOutOfRange, match="no weights in layer 1"):
        randomised(stored_weights.read(digits_subject.folder), [1], 0)
