"""What a caller may ask of a path mask: ranges, and which two classes are meant."""

from __future__ import annotations

import math

from explaind.errors import ExplanationUnsupported, ParameterOutOfRange
from explaind.explanations.prediction import top_two
from explaind.explanations.types import MorphReference, PathMaskParameters, Prediction

FIELD = "path_mask"
SPARSITY = 1.0
"""Where neither the caller nor the bundle names one."""


def check(parameters: PathMaskParameters, class_count: int) -> None:
    """Raises ParameterOutOfRange naming the field; ExplanationUnsupported for a classifier of one class."""
    if class_count < 2:
        raise ExplanationUnsupported("A path mask tells two classes apart; this classifier has one.")
    for name, index in (("self_class", parameters.self_class), ("other_class", parameters.other_class)):
        if index is not None:
            _between(name, index, 0, class_count - 1)
    _between("step_count", parameters.step_count, 2, 1000)
    _between("entropy_threshold", parameters.entropy_threshold, math.ulp(0.0), 1.0)
    _between("seed", parameters.seed, 0, 2**64 - 1)
    if parameters.sparsity is not None:
        _between("sparsity", parameters.sparsity, 0.0, 1e6)
    if parameters.likelihood_weight is not None:
        _between("likelihood_weight", parameters.likelihood_weight, 0.0, 1e6)
    if parameters.max_steps is not None:
        _between("max_steps", parameters.max_steps, 1, 20_000)


def sparsity(parameters: PathMaskParameters, reference: MorphReference) -> float:
    """α of the mask's objective: as asked, else as the bundle's recipe has it, else 1."""
    return next(one for one in (parameters.sparsity, reference.sparsity, SPARSITY) if one is not None)


def classes(parameters: PathMaskParameters, prediction: Prediction) -> tuple[int, int]:
    """(self, other): as named; self defaults to the predicted class, other to the likeliest that is not self.

    Raises ParameterOutOfRange where they are the same.
    """
    first, second = (int(index) for index in top_two(prediction.logits))
    self_class = first if parameters.self_class is None else parameters.self_class
    runner_up = second if self_class == first else first
    other_class = runner_up if parameters.other_class is None else parameters.other_class
    if self_class == other_class:
        raise ParameterOutOfRange(
            f"{FIELD}.other_class and {FIELD}.self_class are both {self_class}; name two different classes.",
            field=f"{FIELD}.other_class",
        )
    return self_class, other_class


def _between(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:  # false for NaN too
        bounds = f"from {low:g} to {high:g}" if low > math.ulp(0.0) or low == 0 else f"above 0 and at most {high:g}"
        raise ParameterOutOfRange(f"{FIELD}.{name} is {value:g}; it must be {bounds}.", field=f"{FIELD}.{name}")
