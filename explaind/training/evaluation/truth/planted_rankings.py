"""Do the rankings name the factor which alone decides, image by image?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explaind.explanations import latent_ranking
from explaind.explanations.prediction import predict
from explaind.explanations.types import (
    Factor,
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
WITHOUT_LABELS: Mapping[str, Mapping[RankingMethod, float]] = {
    "shape": {
        RankingMethod.GENERATED_IMAGES: 0.96, RankingMethod.ORIGINAL_IMAGES: 0.79,
        RankingMethod.RANDOM_FOREST: 0.905, RankingMethod.SOBOL: 0.70,
    },
}  # fmt: skip
"""By cause: right first in the same scenes, in the last build whose ranking space was not supervised, from the same
recipe less the keys of the labels. Written down here, since only the present build has a report."""
SOURCES_METHODS = (RankingMethod.GENERATED_IMAGES, RankingMethod.ORIGINAL_IMAGES, RankingMethod.RANDOM_FOREST)


@dataclass(frozen=True, slots=True, eq=False)
class MethodTruth:
    """firsts: the factor that each image's local ranking names first. right: share that is the one which decides.
    lead: the right factor's magnitude over the largest of the others, an image each; above 1 where it is first.
    globally: the factor first in the global ranking, for the question's second class. noted (N,): does the
    method itself say of the first that its figure rests on little? value (N,): magnitude of the right factor's best
    latent."""

    firsts: tuple[str, ...]
    right: float
    lead: tuple[float, ...]
    globally: str
    noted: tuple[bool, ...]
    value: tuple[float, ...]

    def instead(self, cause: str) -> tuple[str, int] | None:
        """(factor, images) most often first where the right one is not; None where it always is."""
        wrong = Counter(name for name in self.firsts if name != cause)
        return wrong.most_common(1)[0] if wrong else None


@dataclass(frozen=True, slots=True, eq=False)
class RankingTruth:
    """cause: the one of FACTORS that decides. supervised_images: training images whose factors the ranking space was
    trained with; None where it was with none."""

    latents: FactorLatents
    cause: str
    methods: Mapping[RankingMethod, MethodTruth]
    supervised_images: int | None = None

    def passed(self) -> int:
        """How many of the source's three methods are right in 95 % of the images."""
        return sum(self.methods[method].right >= BAR for method in SOURCES_METHODS)


def ranking_truth(subject: Subject, question: str, scenes: Scenes, known: Scenes) -> RankingTruth:
    """scenes: explained one by one. known: many more, for the mutual information of factors and latents."""
    images = as_floats(render(scenes))
    predictions = predict(subject.models.classifier, images)
    means, _ = subject.models.autoencoders[subject.ranking_name].encode(as_floats(render(known)))
    table = factor_latents(means, known.factors(), subject.ranking_reference().used)
    asked = list(zip(images, predictions, strict=True))
    methods = {method: _method(subject, method, asked, table, question) for method in RankingMethod}
    supervised_images = subject.recipe.spaces[subject.ranking_name].supervised_images
    return RankingTruth(table, question, methods, supervised_images)


def _method(
    subject: Subject,
    method: RankingMethod,
    asked: list[tuple[FloatArray, Prediction]],
    table: FactorLatents,
    cause: str,
) -> MethodTruth:
    parameters, factors = LatentRankingParameters(method=method), table.factors(FACTORS)
    rankings = [rank(subject, *one, factors, parameters) for one in asked]
    firsts = tuple(ranking.latents[0].factor.label for ranking in rankings)
    everywhere = LatentRankingParameters(method=method, scope=RankingScope.GLOBAL, target_class=1)
    return MethodTruth(
        firsts=firsts,
        right=float(np.mean([name == cause for name in firsts])),
        lead=tuple(_lead(ranking, cause) for ranking in rankings),
        globally=rank(subject, *asked[0], factors, everywhere).latents[0].factor.label,
        noted=tuple(bool(ranking.latents[0].note) for ranking in rankings),
        value=tuple(_value(ranking, cause) for ranking in rankings),
    )


def rank(
    subject: Subject,
    image: FloatArray,
    prediction: Prediction,
    factors: tuple[Factor, ...],
    parameters: LatentRankingParameters,
) -> LatentRanking:
    """image (C, H, W), in the bundle's ranking space."""
    models = subject.models.ranking(subject.ranking_name)
    assert models is not None
    return latent_ranking.explain(
        models, subject.ranking_reference(), factors, image, parameters, prediction=prediction
    )


def _value(ranking: LatentRanking, cause: str) -> float:
    """A factor's first dimension is its best latent; 0 where the factor has none."""
    return next((abs(float(one.latent_values[0])) for one in ranking.latents if one.factor.label == cause), 0.0)


def _lead(ranking: LatentRanking, cause: str) -> float:
    sizes = {latent.factor.label: abs(latent.importance) for latent in ranking.latents}
    others = max((size for name, size in sizes.items() if name != cause), default=0.0)
    return sizes.get(cause, 0.0) / max(others, 1e-9)
