"""Latent ranking (DESIGN §3.1): which labelled factors drive this decision, and by how much.

`latent_scores` scores the latents; here is checked what was asked, latents become factors, factors are sorted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from explaind.errors import ParameterOutOfRange
from explaind.explanations import latent_scores, responses, traversal
from explaind.explanations.budget import Budget
from explaind.explanations.latent_scores import Scores, Task
from explaind.explanations.models import RankingModels
from explaind.explanations.traversal import Walk
from explaind.explanations.types import (
    Factor,
    FloatArray,
    ImportanceMeasure,
    LatentRanking,
    LatentRankingParameters,
    Prediction,
    RankedLatent,
    RankingMethod,
    RankingReference,
    RankingScope,
)

_DEVIATIONS = (
    ImportanceMeasure.LOGIT_DEVIATION,
    ImportanceMeasure.PROBABILITY_DEVIATION,
    ImportanceMeasure.PROBABILITY_VARIANCE,
)

# The first measure of each is the one meant when none is named.
MEASURES: dict[tuple[RankingMethod, RankingScope], tuple[ImportanceMeasure, ...]] = {
    (RankingMethod.GENERATED_IMAGES, RankingScope.LOCAL): _DEVIATIONS,
    (RankingMethod.GENERATED_IMAGES, RankingScope.GLOBAL): _DEVIATIONS,
    (RankingMethod.ORIGINAL_IMAGES, RankingScope.LOCAL): _DEVIATIONS,
    (RankingMethod.ORIGINAL_IMAGES, RankingScope.GLOBAL): _DEVIATIONS,
    (RankingMethod.RANDOM_FOREST, RankingScope.LOCAL): (ImportanceMeasure.SHAPLEY,),
    (RankingMethod.RANDOM_FOREST, RankingScope.GLOBAL): (ImportanceMeasure.IMPURITY, ImportanceMeasure.PERMUTATION),
    (RankingMethod.SOBOL, RankingScope.LOCAL): (ImportanceMeasure.SOBOL_TOTAL,),
    (RankingMethod.SOBOL, RankingScope.GLOBAL): (ImportanceMeasure.SOBOL_TOTAL,),
}

# Parts of one whole add up within a factor; of other measures a factor has its strongest latent's.
_ADDITIVE = (ImportanceMeasure.SHAPLEY, ImportanceMeasure.IMPURITY)


def explain(
    models: RankingModels,
    reference: RankingReference,
    factors: tuple[Factor, ...],
    image: FloatArray,
    parameters: LatentRankingParameters,
    *,
    prediction: Prediction,
    budget: Budget | None = None,
) -> LatentRanking:
    """Rank the used factors of `image` (C, H, W) in [0, 1] by falling magnitude of importance.

    A factor of several latents has the sum of additive measures (Shapley, impurity) and its strongest latent of the
    others. Responses and traversals, where asked for, are of the strongest latent: the target's probability along
    10 values in [−3, 3], the others at μ (local) or 0 (global). Raises ParameterOutOfRange for a measure that the
    method and scope do not have, and for a class, top_k or seed that cannot be; ExplanationUnsupported without a
    forest; DeadlineTooShort and Cancelled as the budget says.
    """
    budget = budget or Budget()
    task = _task(models, reference, image, parameters, prediction, budget)
    budget.raise_if_cancelled()
    scores = latent_scores.score(parameters.method, parameters.scope, task)
    chosen = _ranked_factors(factors, scores, task)[: parameters.top_k or None]
    budget.raise_if_cancelled()
    walk = scores.walk or _walk(task, parameters, [strongest for strongest, _ in chosen])
    fidelity = reference.forest_fidelity if parameters.method is RankingMethod.RANDOM_FOREST else None
    return LatentRanking(
        method=parameters.method,
        scope=parameters.scope,
        measure=task.measure,
        target_class=task.target,
        latent_space=parameters.latent_space,
        latents=tuple(_illustrated(latent, strongest, walk, task.target, parameters) for strongest, latent in chosen),
        surrogate_fidelity=fidelity,
        reconstruction_agrees=walk.reconstruction_class == prediction.class_index,
    )


def _task(
    models: RankingModels,
    reference: RankingReference,
    image: FloatArray,
    parameters: LatentRankingParameters,
    prediction: Prediction,
    budget: Budget,
) -> Task:
    """Checks first; then the image's code, the only thing that every method asks a model for."""
    measure, target = checked_measure(parameters), _checked_target(parameters, prediction)
    budget.raise_if_cancelled()
    return Task(
        models=models,
        reference=reference,
        measure=measure,
        target=target,
        mean=models.autoencoder.encode(image[None])[0][0],
        ranked=tuple(int(latent) for latent in np.flatnonzero(reference.used)),
        seed=parameters.seed,
        budget=budget,
    )


def checked_measure(parameters: LatentRankingParameters) -> ImportanceMeasure:
    """The measure asked for, or the method's first; ParameterOutOfRange where method and scope do not have it."""
    allowed = MEASURES[parameters.method, parameters.scope]
    measure = parameters.measure or allowed[0]
    if measure not in allowed:
        raise ParameterOutOfRange(
            f"Method {parameters.method} with scope {parameters.scope} has no measure {measure}; "
            f"choose {' or '.join(allowed)}, or leave it out.",
            field="latent_ranking.measure",
        )
    return measure


def _checked_target(parameters: LatentRankingParameters, prediction: Prediction) -> int:
    classes = len(prediction.logits)
    target = prediction.class_index if parameters.target_class is None else parameters.target_class
    _require("target_class", target, 0 <= target < classes, f"a class from 0 to {classes - 1}")
    _require("top_k", parameters.top_k, parameters.top_k >= 0, "a count, or 0 for every used latent")
    _require("seed", parameters.seed, parameters.seed >= 0, "0 or more")
    return target


def _require(name: str, value: int, holds: bool, wanted: str) -> None:
    if not holds:
        raise ParameterOutOfRange(f"{name} is {value}; it must be {wanted}.", field=f"latent_ranking.{name}")


def _ranked_factors(factors: Sequence[Factor], scores: Scores, task: Task) -> list[tuple[int, RankedLatent]]:
    """(strongest latent, factor without pictures) of every factor with a used latent; equals keep their order."""
    used = set(task.ranked)
    found = [(factor, [d for d in factor.dimensions if d in used]) for factor in factors]
    rows = [_ranked_factor(factor, dimensions, scores, task) for factor, dimensions in found if dimensions]
    return sorted(rows, key=lambda row: _strength(row[1].importance, task.measure), reverse=True)


def _strength(importance: float, measure: ImportanceMeasure) -> float:
    # A permutation importance below 0 is noise about nothing, every other sign says for or against.
    return importance if measure is ImportanceMeasure.PERMUTATION else abs(importance)


def _ranked_factor(factor: Factor, dimensions: list[int], scores: Scores, task: Task) -> tuple[int, RankedLatent]:
    importance = {dimension: scores.importance.item(dimension) for dimension in dimensions}
    strongest = max(dimensions, key=lambda dimension: _strength(importance[dimension], task.measure))
    latent = RankedLatent(
        factor=factor,
        importance=sum(importance.values()) if task.measure in _ADDITIVE else importance[strongest],
        direction=scores.direction.item(strongest),
        latent_values=task.mean[list(factor.dimensions)],
        note=scores.notes.get(strongest, ""),
    )
    return strongest, latent


def _walk(task: Task, parameters: LatentRankingParameters, dimensions: list[int]) -> Walk:
    """The reconstruction, and the traversals that the answer shows."""
    shown = dimensions if parameters.include_responses or parameters.include_traversals else []
    center = task.mean if parameters.scope is RankingScope.LOCAL else np.zeros_like(task.mean)
    return traversal.walk(task.models, task.mean, center, shown)


def _illustrated(
    latent: RankedLatent, strongest: int, walk: Walk, target: int, parameters: LatentRankingParameters
) -> RankedLatent:
    if not (parameters.include_responses or parameters.include_traversals):
        return latent
    row = walk.dimensions.index(strongest)
    response = responses.probabilities(walk.logits[row])[:, target].astype(np.float32)
    return replace(
        latent,
        response=response if parameters.include_responses else None,
        traversal=walk.images[row] if parameters.include_traversals else None,
    )
