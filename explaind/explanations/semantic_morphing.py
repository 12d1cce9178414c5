"""The nearest natural counterpart of an image in another class: a walk in latent space [PM], DESIGN §3.3."""

from __future__ import annotations

import numpy as np

from explaind.explanations import morph_start, path_mask_parameters
from explaind.explanations.budget import Budget
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_reference_solver import LikelihoodDescent
from explaind.explanations.morph_settling import settle
from explaind.explanations.morph_start import MorphStart
from explaind.explanations.morph_walk import Goal, Stepper, Stop, Walk, walk
from explaind.explanations.smoothed_flow import SmoothedFlow
from explaind.explanations.types import (
    DecodedCode,
    DoubleArray,
    FloatArray,
    Morph,
    MorphReference,
    PathMaskParameters,
    Prediction,
    Solver,
)


def morph(
    models: MorphingModels,
    reference: MorphReference,
    image: FloatArray,
    parameters: PathMaskParameters,
    *,
    prediction: Prediction,
    budget: Budget | None = None,
) -> Morph:
    """image: float32 (C, H, W) in [0, 1], `prediction` its own → the two ends of a path between the classes.

    The image's code is z_self and the walk goes to `other`; where the image looks like `other` (a wrongly
    classified one asked about its true class) its code is z_other and the walk goes to `self`.
    Raises ParameterOutOfRange naming the field, Cancelled.
    """
    budget = budget or Budget()
    path_mask_parameters.check(parameters, len(prediction.logits))
    pair = path_mask_parameters.classes(parameters, prediction)
    random = np.random.default_rng(parameters.seed)
    fast = parameters.solver is Solver.FAST
    start = morph_start.choose(models, image, pair, prediction, random, budget, mean_suffices=fast)
    if start.top_class is None:
        return _no_start(pair, start, prediction.class_index)
    target = pair[1] if start.top_class == pair[0] else pair[0]
    goal = Goal(
        target=target,
        rival=start.top_class,
        class_count=len(prediction.logits),
        threshold=parameters.entropy_threshold,
    )
    stepper = _stepper(reference, parameters, target, random)

    def walk_on(code: DoubleArray, taken: int) -> Walk:
        cap = stepper.steps if parameters.max_steps is None else parameters.max_steps
        return walk(models, code, goal, stepper, cap - taken, budget)

    end = walk_on(start.code, 0)
    if fast:
        end = settle(models, start, end, goal, walk_on, budget)
    return _result(pair, start, goal, end)


def _stepper(
    reference: MorphReference, parameters: PathMaskParameters, target: int, random: np.random.Generator
) -> Stepper:
    if parameters.solver is Solver.FAST:
        return SmoothedFlow(random)
    asked = parameters.likelihood_weight
    weight = reference.likelihood_weight if asked is None else asked
    return LikelihoodDescent(weight, float(reference.class_norms[target]))


def _no_start(pair: tuple[int, int], start: MorphStart, seen_as: int) -> Morph:
    wanted = f"class {seen_as}, which the image is seen as" if seen_as in pair else f"class {pair[0]} or {pair[1]}"
    return Morph(
        self_class=pair[0],
        other_class=pair[1],
        z_self=start.code,
        z_other=start.code,
        found=False,
        best_so_far=False,
        steps=0,
        entropy=0.0,
        latent_distance=0.0,
        reconstruction_agrees=False,
        reason=f"No code near the image decodes to {wanted}.",
    )


def _result(pair: tuple[int, int], start: MorphStart, goal: Goal, end: Walk) -> Morph:
    to_other = goal.target == pair[1]
    found = goal.is_top(end.logits)
    return Morph(
        self_class=pair[0],
        other_class=pair[1],
        z_self=start.code if to_other else end.code,
        z_other=end.code if to_other else start.code,
        found=found,
        best_so_far=end.stop is Stop.DEADLINE or (found and end.stop is not Stop.REACHED),
        steps=end.steps,
        entropy=goal.entropy(end.logits),
        latent_distance=float(np.linalg.norm(end.code - start.code)),
        reconstruction_agrees=start.agrees,
        image_is_self=to_other,
        flat=end.stop is Stop.FLAT and end.steps == 0,
        decoded=_decoded(start, end, to_other),
        reason=_reason(goal, end, found),
    )


def _decoded(start: MorphStart, end: Walk, to_other: bool) -> tuple[DecodedCode, DecodedCode] | None:
    if end.image is None:
        return None
    there = DecodedCode(end.image, end.logits)
    return (there, start.decoded) if to_other else (start.decoded, there)


def _reason(goal: Goal, end: Walk, found: bool) -> str:
    state = (
        f"class {goal.target} is likeliest, but not below the entropy threshold"
        if found
        else f"class {goal.target} is not likeliest yet"
    )
    match end.stop:
        case Stop.REACHED:
            return ""
        case Stop.STEPS_SPENT:
            return f"The morph took all its {end.steps} steps and {state}."
        case Stop.DEADLINE:
            return f"The deadline came after {end.steps} morphing steps and {state}."
        case Stop.FLAT:
            return f"After {end.steps} morphing steps no direction raises class {goal.target}, and {state}."
