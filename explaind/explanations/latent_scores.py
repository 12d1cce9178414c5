"""Each ranking method's importance and direction of every latent of a space, local and global (DESIGN §3.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from explaind.errors import ExplanationUnsupported
from explaind.explanations import bin_table, random_forest, responses, sobol, traversal
from explaind.explanations.budget import Budget
from explaind.explanations.models import RankingModels
from explaind.explanations.traversal import Walk
from explaind.explanations.types import (
    DoubleArray,
    FloatArray,
    ForestArrays,
    ImportanceMeasure,
    RankingMethod,
    RankingReference,
    RankingScope,
)

# Deviation of a probability under which its Sobol shares are said to be shares of very little.
_LITTLE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a method needs. mean (D,): this image's code; ranked: the used latents, rising; target: a class."""

    models: RankingModels
    reference: RankingReference
    measure: ImportanceMeasure
    target: int
    mean: FloatArray
    ranked: tuple[int, ...]
    seed: int
    budget: Budget | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """importance, direction (D,), 0 at latents that are not ranked; notes by latent; walk: the traversals about μ,
    where the scores came of them."""

    importance: DoubleArray
    direction: DoubleArray
    notes: dict[int, str] = field(default_factory=dict)
    walk: Walk | None = None


def score(method: RankingMethod, scope: RankingScope, task: Task) -> Scores:
    """Raises what the models raise, DeadlineTooShort and Cancelled as the budget says, ExplanationUnsupported
    without a forest."""
    return _METHODS[method, scope](task)


def _generated_local(task: Task) -> Scores:
    walk = traversal.walk(task.models, task.mean, task.mean, task.ranked)
    curves = responses.of_class(walk.logits, task.measure, task.target)
    return Scores(
        importance=_spread_out(task, responses.spread(curves, task.measure)),
        direction=_spread_out(task, responses.directions(traversal.VALUES, curves)),
        walk=walk,
    )


def _spread_out(task: Task, values: DoubleArray) -> DoubleArray:
    """values of the ranked latents → (D,)."""
    table = np.zeros(len(task.mean))
    table[list(task.ranked)] = values
    return table


def _generated_global(task: Task) -> Scores:
    reference = task.reference
    odds = task.measure is ImportanceMeasure.LOGIT_DEVIATION
    curves = (reference.generated_logit if odds else reference.generated_probability)[..., task.target]
    return Scores(
        importance=responses.spread(curves, task.measure),
        direction=responses.directions(traversal.VALUES, curves),
    )


def _original_local(task: Task) -> Scores:
    reading = bin_table.local_reading(task.reference, task.measure, task.target, task.mean)
    notes = {}
    for latent, count in enumerate(reading.counts):
        value = bin_table.BINS[bin_table.indices(task.mean[latent])]
        if count == 0:
            notes[latent] = f"No reference image has this latent near {value:g}, so its importance is 0."
        elif count < bin_table.MINIMUM_COUNT:
            notes[latent] = f"Rests on {count} reference images only, those with this latent near {value:g}."
    return Scores(importance=reading.importance, direction=_table_directions(task), notes=notes)


def _original_global(task: Task) -> Scores:
    bins = bin_table.counting_bins(task.reference.bin_counts).sum(axis=1)
    few = f"Fewer than two bins hold {bin_table.MINIMUM_COUNT} reference images, so its importance is 0."
    return Scores(
        importance=bin_table.global_importance(task.reference, task.measure, task.target),
        direction=_table_directions(task),
        notes={int(latent): few for latent in np.flatnonzero(bins < 2)},
    )


def _table_directions(task: Task) -> DoubleArray:
    return bin_table.directions(task.reference, task.measure, task.target)


def _forest_local(task: Task) -> Scores:
    """The forest has its own answer to «more of this latent»: its response along the traversal about μ."""
    forest = _forest(task.reference)
    codes = traversal.codes(task.mean, task.ranked)
    table = random_forest.predict(forest, codes.reshape(-1, codes.shape[-1]))[:, task.target]
    curves = table.reshape(codes.shape[:2])
    return Scores(
        importance=random_forest.local_contributions(forest, task.mean)[:, task.target],
        direction=_spread_out(task, responses.directions(traversal.VALUES, curves)),
    )


def _forest(reference: RankingReference) -> ForestArrays:
    if reference.forest is None:
        raise ExplanationUnsupported(
            "This latent space has no forest; rank by another method.",
            metadata={"explanation": "latent_ranking", "method": RankingMethod.RANDOM_FOREST.value},
        )
    return reference.forest


def _forest_global(task: Task) -> Scores:
    _forest(task.reference)
    permutation = task.measure is ImportanceMeasure.PERMUTATION
    return Scores(
        importance=task.reference.permutation if permutation else task.reference.impurity,
        direction=_table_directions(task),
    )


def _sobol_local(task: Task) -> Scores:
    effects = sobol.box_total_effects(task.models, task.mean, task.ranked, seed=task.seed, budget=task.budget)
    deviation = float(effects.deviation[task.target])
    little = f"A share of very little: the probability deviates by {deviation:.1g} around this image."
    return Scores(
        importance=effects.indices[task.target],
        direction=effects.directions[task.target],
        notes=dict.fromkeys(task.ranked, little) if deviation < _LITTLE else {},
    )


def _sobol_global(task: Task) -> Scores:
    return Scores(importance=task.reference.sobol_total[task.target], direction=_table_directions(task))


_METHODS: dict[tuple[RankingMethod, RankingScope], Callable[[Task], Scores]] = {
    (RankingMethod.GENERATED_IMAGES, RankingScope.LOCAL): _generated_local,
    (RankingMethod.GENERATED_IMAGES, RankingScope.GLOBAL): _generated_global,
    (RankingMethod.ORIGINAL_IMAGES, RankingScope.LOCAL): _original_local,
    (RankingMethod.ORIGINAL_IMAGES, RankingScope.GLOBAL): _original_global,
    (RankingMethod.RANDOM_FOREST, RankingScope.LOCAL): _forest_local,
    (RankingMethod.RANDOM_FOREST, RankingScope.GLOBAL): _forest_global,
    (RankingMethod.SOBOL, RankingScope.LOCAL): _sobol_local,
    (RankingMethod.SOBOL, RankingScope.GLOBAL): _sobol_global,
}
