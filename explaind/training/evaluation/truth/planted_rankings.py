"""Do the rankings name the latent that holds the factor which alone decides, image by image?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explaind.explanations import latent_ranking
from explaind.explanations.prediction import predict
from explaind.explanations.types import (
    FloatArray,
    LatentRanking,
    LatentRankingParameters,
    Prediction,
    RankingMethod,
    RankingScope,
)
from explaind.training.datasets import as_floats
from explaind.training.datasets.planted import FACTORS, Scenes, render
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth.factor_latents import FactorLatents, factor_latents

BAR = 0.95
SOURCES_METHODS = (RankingMethod.GENERATED_IMAGES, RankingMethod.ORIGINAL_IMAGES, RankingMethod.RANDOM_FOREST)


@dataclass(frozen=True, slots=True, eq=False)
class MethodTruth:
    """firsts (N,): the latent that each image's local ranking names first. right: share that is the factor's.
    ahead (N,): the right latent's magnitude over the largest of the others; above 1 where it is first.
    globally: the latent first in the global ranking, for the question's second class."""

    firsts: tuple[int, ...]
    right: float
    ahead: tuple[float, ...]
    globally: int


@dataclass(frozen=True, slots=True, eq=False)
class RankingTruth:
    """factor: index into FACTORS of the one that decides; cause: the latent that holds it."""

    latents: FactorLatents
    factor: int
    methods: Mapping[RankingMethod, MethodTruth]

    @property
    def cause(self) -> int:
        return int(self.latents.holders[self.factor])

    def passed(self) -> int:
        """How many of the source's three methods are right in 95 % of the images."""
        return sum(self.methods[method].right >= BAR for method in SOURCES_METHODS)


def ranking_truth(subject: Subject, question: str, scenes: Scenes, known: Scenes) -> RankingTruth:
    """scenes: explained one by one. known: many more, for the mutual information of factors and latents."""
    images = as_floats(render(scenes))
    predictions = predict(subject.models.classifier, images)
    means, _ = subject.models.autoencoders[subject.ranking_name].encode(as_floats(render(known)))
    table = factor_latents(means, known.factors(), subject.ranking_reference().used)
    factor = FACTORS.index(question)
    cause = int(table.holders[factor])
    methods = {method: _method(subject, method, images, predictions, cause) for method in RankingMethod}
    return RankingTruth(table, factor, methods)


def _method(
    subject: Subject, method: RankingMethod, images: FloatArray, predictions: tuple[Prediction, ...], cause: int
) -> MethodTruth:
    local = LatentRankingParameters(method=method)
    rankings = [rank(subject, image, p, local) for image, p in zip(images, predictions, strict=True)]
    firsts = tuple(first(ranking) for ranking in rankings)
    everywhere = LatentRankingParameters(method=method, scope=RankingScope.GLOBAL, target_class=1)
    return MethodTruth(
        firsts=firsts,
        right=float(np.mean([latent == cause for latent in firsts])),
        ahead=tuple(_ahead(ranking, cause) for ranking in rankings),
        globally=first(rank(subject, images[0], predictions[0], everywhere)),
    )


def rank(
    subject: Subject, image: FloatArray, prediction: Prediction, parameters: LatentRankingParameters
) -> LatentRanking:
    """image (C, H, W) in the bundle's ranking space, latents unnamed."""
    models = subject.models.ranking(subject.ranking_name)
    assert models is not None
    return latent_ranking.explain(
        models, subject.ranking_reference(), subject.plain_factors(), image, parameters, prediction=prediction
    )


def first(ranking: LatentRanking) -> int:
    return ranking.latents[0].factor.dimensions[0]


def _ahead(ranking: LatentRanking, cause: int) -> float:
    sizes = {latent.factor.dimensions[0]: abs(latent.importance) for latent in ranking.latents}
    others = max((size for latent, size in sizes.items() if latent != cause), default=0.0)
    return sizes[cause] / max(others, 1e-9)


def named_instead(truth: MethodTruth, cause: int) -> tuple[int, int] | None:
    """(latent, images) most often first where the right one is not; None where it always is."""
    wrong = Counter(latent for latent in truth.firsts if latent != cause)
    return wrong.most_common(1)[0] if wrong else None
