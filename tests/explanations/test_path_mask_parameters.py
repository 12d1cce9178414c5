"""Bad parameters are refused by name; classes default to the predicted one and the likeliest other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from explaind.errors import ExplanationUnsupported, ParameterOutOfRange
from explaind.explanations.path_mask_parameters import check, classes, sparsity
from explaind.explanations.prediction import softmax
from explaind.explanations.types import MorphReference, PathMaskParameters, Prediction

BAD: list[tuple[str, Any]] = [
    ("self_class", -1),
    ("self_class", 10),
    ("other_class", 10),
    ("other_class", 2**31 - 1),
    ("step_count", 1),
    ("step_count", -100),
    ("step_count", 1001),
    ("sparsity", -0.1),
    ("sparsity", math.nan),
    ("sparsity", math.inf),
    ("likelihood_weight", -1.0),
    ("likelihood_weight", math.nan),
    ("max_steps", 0),
    ("max_steps", -5),
    ("max_steps", 20_001),
    ("entropy_threshold", 0.0),
    ("entropy_threshold", -0.01),
    ("entropy_threshold", 1.5),
    ("entropy_threshold", math.nan),
    ("seed", -1),
]


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_parameter_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(ParameterOutOfRange, match=rf"path_mask\.{name} is .* must be") as caught:
        check(PathMaskParameters(**{name: value}), 10)
    assert caught.value.field == f"path_mask.{name}"


ALLOWED = [("step_count", 2), ("step_count", 1000), ("sparsity", 0.0), ("max_steps", 1), ("entropy_threshold", 1.0)]


@pytest.mark.parametrize(("name", "value"), ALLOWED)
def test_the_ends_of_each_range_are_allowed(name: str, value: float) -> None:
    check(PathMaskParameters(**{name: value}), 10)


def test_one_class_cannot_be_told_from_another() -> None:
    with pytest.raises(ExplanationUnsupported):
        check(PathMaskParameters(), 1)


@pytest.mark.parametrize(
    ("asked", "recipe", "expected"),
    [(None, None, 1.0), (None, 4.0, 4.0), (None, 0.0, 0.0), (2.0, 4.0, 2.0), (0.0, 4.0, 0.0), (1.0, 4.0, 1.0)],
)
def test_a_caller_s_sparsity_goes_before_the_recipe_s_and_that_before_one(
    asked: float | None, recipe: float | None, expected: float
) -> None:
    reference = MorphReference(class_norms=np.ones(3), likelihood_weight=0.1, sparsity=recipe)
    assert sparsity(PathMaskParameters(sparsity=asked), reference) == expected


def _prediction(*logits: float) -> Prediction:
    row = np.array(logits)
    top = int(row.argmax())
    return Prediction(class_index=top, probability=1.0, probabilities=softmax(row), logits=row)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((None, None), (1, 2)), ((2, None), (2, 1)), ((0, None), (0, 1)), ((None, 0), (1, 0)), ((0, 2), (0, 2))],
)
def test_classes_default_to_the_predicted_and_the_likeliest_other(
    asked: tuple[int | None, int | None], expected: tuple[int, int]
) -> None:
    parameters = PathMaskParameters(self_class=asked[0], other_class=asked[1])
    assert classes(parameters, _prediction(0.0, 5.0, 3.0)) == expected


@pytest.mark.parametrize(("self_class", "other_class"), [(2, 2), (None, 1)])
def test_self_and_other_must_differ(self_class: int | None, other_class: int) -> None:
    parameters = PathMaskParameters(self_class=self_class, other_class=other_class)
    with pytest.raises(ParameterOutOfRange, match="two different classes") as caught:
        classes(parameters, _prediction(0.0, 5.0, 3.0))
    assert caught.value.field == "path_mask.other_class"
