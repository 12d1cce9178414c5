"""The local rankings of one classifier, whose tables and forest are taken anew from it: rows that can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from explaind.explanations import bin_table, latent_ranking, random_forest, responses
from explaind.explanations.models import RankingModels
from explaind.explanations.types import (
    DoubleArray,
    Factor,
    FloatArray,
    LatentRankingParameters,
    Prediction,
    RankingMethod,
    RankingReference,
)
from explaind.training.recipe import ReferenceRecipe

COMPARED = (RankingMethod.GENERATED_IMAGES, RankingMethod.ORIGINAL_IMAGES, RankingMethod.RANDOM_FOREST)


def refitted(
    models: RankingModels, reference: RankingReference, images: FloatArray, recipe: ReferenceRecipe, seed: int
) -> RankingReference:
    """The bin table and the served forest of this classifier, from `images` (N, C, H, W); what is of the autoencoder
    alone stays."""
    means, _ = models.autoencoder.encode(images)
    logits = models.classifier.logits(images)
    bins = bin_table.build(means, responses.probabilities(logits).astype(np.float32), logits)
    forest = RandomForestClassifier(recipe.served_trees, max_leaf_nodes=recipe.served_leaves, random_state=seed)
    forest.fit(means, logits.argmax(axis=1))
    return replace(
        reference,
        bin_counts=bins.counts,
        bin_probability=bins.probability,
        bin_logit=bins.log_odds,
        mean_probability=bins.mean_probability,
        mean_logit=bins.mean_log_odds,
        forest=random_forest.pack(forest, logits.shape[1]),
    )


def importances(
    models: RankingModels,
    reference: RankingReference,
    images: FloatArray,
    predictions: Sequence[Prediction],
    classes: Sequence[int],
) -> Mapping[RankingMethod, DoubleArray]:
    """Magnitudes of the used latents in each image's local rankings, (N, used), by method. classes: the explained one
    of each image. Without a forest that method is left out."""
    used = np.flatnonzero(reference.used)
    factors = tuple(Factor(dimensions=(int(latent),), label=f"z{latent}") for latent in used)
    methods = [m for m in COMPARED if m is not RankingMethod.RANDOM_FOREST or reference.forest is not None]
    asked = list(zip(images, predictions, classes, strict=True))
    return {
        method: np.array([_row(models, reference, factors, method, *one) for one in asked]).reshape(-1, len(used))
        for method in methods
    }


def _row(
    models: RankingModels,
    reference: RankingReference,
    factors: tuple[Factor, ...],
    method: RankingMethod,
    image: FloatArray,
    prediction: Prediction,
    target: int,
) -> list[float]:
    parameters = LatentRankingParameters(method=method, target_class=target)
    ranking = latent_ranking.explain(models, reference, factors, image, parameters, prediction=prediction)
    sizes = {latent.factor.dimensions[0]: abs(latent.importance) for latent in ranking.latents}
    return [sizes[factor.dimensions[0]] for factor in factors]
