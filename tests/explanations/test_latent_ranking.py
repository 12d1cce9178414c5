"""A ranking as a whole: what may be asked, what is answered, and in how many batches."""

from __future__ import annotations

import time
from collections.abc import Callable
from copy import copy
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier

from explaind.errors import Cancelled, DeadlineTooShort, ExplanationUnsupported, ParameterOutOfRange
from explaind.explanations import latent_ranking, random_forest
from explaind.explanations.budget import Budget
from explaind.explanations.types import (
    Factor,
    FloatArray,
    ImportanceMeasure,
    LabelConfidence,
    LatentRanking,
    LatentRankingParameters,
    RankingMethod,
    RankingScope,
)

MakeWorld = Callable[..., Any]
Grid = Callable[[int], FloatArray]
WAYS = list(product(RankingMethod, RankingScope))
MEASURED = [(*way, measure) for way in WAYS for measure in ImportanceMeasure]


class Case:
    """log-odds = 2·z0 − z2 over four latents, of which the decoder ignores the last."""

    def __init__(self, make_world: MakeWorld, grid: Grid) -> None:
        self.world = make_world(lambda z: 2.0 * z[:, 0] - z[:, 2], 4, effect=[1.0, 1.0, 1.0, 0.0])
        codes = grid(4)[::7]
        decisions = self.world.logits(codes).argmax(axis=1)
        fitted = RandomForestClassifier(10, max_leaf_nodes=60, random_state=0).fit(codes, decisions)
        reference = self.world.reference(codes, random_forest.pack(fitted, 2))
        self.reference = replace(
            reference, impurity=fitted.feature_importances_, permutation=np.array([0.4, 0, 0.1, 0])
        )
        self.image = self.world.image([1.0, 0.5, -0.5, 0.0])

    def knowing(self, **changes: Any) -> Case:
        """The same case with other reference statistics."""
        other = copy(self)
        other.reference = replace(self.reference, **changes)
        return other

    def explain(self, budget: Budget | None = None, factors: tuple[Factor, ...] = (), **asked: Any) -> LatentRanking:
        self.world.autoencoder.decoded.clear()
        return latent_ranking.explain(
            self.world.models,
            self.reference,
            factors or self.world.factors(),
            self.image,
            LatentRankingParameters(latent_space="ranking", **asked),
            prediction=self.world.prediction(self.image),
            budget=budget,
        )


@pytest.fixture(scope="module")
def case(make_world: MakeWorld, grid: Grid) -> Case:
    return Case(make_world, grid)


def _names(ranking: LatentRanking) -> list[str]:
    return [latent.factor.label for latent in ranking.latents]


@pytest.mark.parametrize(("method", "scope"), WAYS)
def test_every_way_ranks_the_used_latents_by_falling_magnitude(
    case: Case, method: RankingMethod, scope: RankingScope
) -> None:
    ranking = case.explain(method=method, scope=scope)
    assert _names(ranking) == ["z0", "z2", "z1"]
    magnitudes = [abs(latent.importance) for latent in ranking.latents]
    assert magnitudes == sorted(magnitudes, reverse=True)
    assert [latent.direction for latent in ranking.latents][:2] == [1.0, -1.0]
    assert [latent.latent_values.tolist() for latent in ranking.latents] == [[1.0], [-0.5], [0.5]]
    assert (ranking.method, ranking.scope, ranking.target_class) == (method, scope, 1)
    assert ranking.measure is latent_ranking.MEASURES[method, scope][0]
    assert ranking.latent_space == "ranking"
    assert ranking.reconstruction_agrees
    assert (ranking.surrogate_fidelity is not None) == (method is RankingMethod.RANDOM_FOREST)


@pytest.mark.parametrize(("method", "scope", "measure"), MEASURED)
def test_a_measure_is_answered_or_refused_by_name(
    case: Case, method: RankingMethod, scope: RankingScope, measure: ImportanceMeasure
) -> None:
    if measure in latent_ranking.MEASURES[method, scope]:
        ranking = case.explain(method=method, scope=scope, measure=measure)
        assert ranking.measure is measure
        assert _names(ranking)[:2] == ["z0", "z2"]
        return
    with pytest.raises(ParameterOutOfRange, match=f"no measure {measure}") as caught:
        case.explain(method=method, scope=scope, measure=measure)
    assert caught.value.field == "latent_ranking.measure"
    assert case.world.autoencoder.decoded == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"target_class": 2}, "target_class"),
        ({"target_class": -1}, "target_class"),
        ({"top_k": -1}, "top_k"),
        ({"seed": -1, "method": RankingMethod.SOBOL}, "seed"),
    ],
)
def test_what_cannot_be_is_refused_by_name(case: Case, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(ParameterOutOfRange, match=field) as caught:
        case.explain(**asked)
    assert caught.value.field == f"latent_ranking.{field}"


@pytest.mark.parametrize("scope", RankingScope)
def test_without_a_forest_the_forest_is_unsupported(case: Case, scope: RankingScope) -> None:
    bare = case.knowing(forest=None)
    with pytest.raises(ExplanationUnsupported, match="no forest"):
        bare.explain(method=RankingMethod.RANDOM_FOREST, scope=scope)
    assert bare.explain().latents


@pytest.mark.parametrize(("method", "scope"), WAYS)
def test_the_other_class_has_opposite_signs(case: Case, method: RankingMethod, scope: RankingScope) -> None:
    self_, other = (case.explain(method=method, scope=scope, target_class=target) for target in (1, 0))
    assert other.target_class == 0
    assert other.reconstruction_agrees  # with the prediction, whatever class was asked about
    for here, there in zip(self_.latents[:2], other.latents[:2], strict=True):
        assert here.direction == -there.direction
        assert abs(here.importance) == pytest.approx(abs(there.importance), rel=1e-4)
    signed = method in (RankingMethod.ORIGINAL_IMAGES, RankingMethod.RANDOM_FOREST) and scope is RankingScope.LOCAL
    assert (self_.latents[0].importance * other.latents[0].importance < 0) == signed


def test_local_signs_say_whether_the_latent_speaks_for_the_class(case: Case) -> None:
    """z0 = 1 raises the log-odds by 2 over the table's mean, z2 = −0.5 by 0.5."""
    ranking = case.explain(method=RankingMethod.ORIGINAL_IMAGES)
    assert [latent.importance for latent in ranking.latents] == pytest.approx([2.0, 0.5, 0.0], abs=0.05)


def test_generated_deviations_are_those_of_the_traversal(case: Case) -> None:
    deviation = float(np.std(np.linspace(-3, 3, 10)))
    importances = [latent.importance for latent in case.explain().latents]
    assert importances == pytest.approx([2 * deviation, deviation, 0.0], rel=1e-5)


@pytest.mark.parametrize(("top_k", "count"), [(0, 3), (1, 1), (2, 2), (99, 3)])
def test_top_k_keeps_the_first(case: Case, top_k: int, count: int) -> None:
    assert _names(case.explain(top_k=top_k)) == ["z0", "z2", "z1"][:count]


@pytest.mark.parametrize(
    ("asked", "batches"),
    [
        ({}, [1 + 3 * 10]),
        ({"include_traversals": True, "include_responses": True, "top_k": 1}, [1 + 3 * 10]),
        ({"method": RankingMethod.ORIGINAL_IMAGES}, [1]),
        ({"method": RankingMethod.ORIGINAL_IMAGES, "include_responses": True, "top_k": 2}, [1 + 2 * 10]),
        ({"scope": RankingScope.GLOBAL, "include_traversals": True}, [1 + 3 * 10]),
        ({"method": RankingMethod.SOBOL}, [256] * 4 + [1]),
    ],
)
def test_traversals_and_the_reconstruction_are_one_batch(case: Case, asked: dict[str, Any], batches: list[int]) -> None:
    case.explain(**asked)
    assert case.world.autoencoder.decoded == batches


@pytest.mark.parametrize("method", RankingMethod)
@pytest.mark.parametrize("scope", RankingScope)
def test_responses_and_traversals_come_on_request(case: Case, method: RankingMethod, scope: RankingScope) -> None:
    bare = case.explain(method=method, scope=scope).latents[0]
    assert bare.response is None
    assert bare.traversal is None
    first = case.explain(method=method, scope=scope, include_responses=True, include_traversals=True).latents[0]
    held = 0.5 if scope is RankingScope.LOCAL else 0.0
    assert first.response == pytest.approx(1 / (1 + np.exp(-2 * np.linspace(-3, 3, 10) - held)), abs=1e-5)
    assert first.traversal.shape == (10, 1, 1, 4)
    assert first.traversal[:, 0, 0, 0] == pytest.approx(0.5 + np.linspace(-3, 3, 10) / 8)


def test_one_of_responses_and_traversals_may_be_had_alone(case: Case) -> None:
    responses = case.explain(include_responses=True).latents[0]
    traversals = case.explain(include_traversals=True).latents[0]
    assert (responses.response is None, responses.traversal is None) == (False, True)
    assert (traversals.response is None, traversals.traversal is None) == (True, False)


def test_an_empty_bin_says_so(case: Case) -> None:
    counts = case.reference.bin_counts.copy()
    counts[0, 8], counts[2, 5] = 0, 12
    poor = case.knowing(bin_counts=counts)
    latents = {latent.factor.label: latent for latent in poor.explain(method=RankingMethod.ORIGINAL_IMAGES).latents}
    assert latents["z0"].importance == 0.0
    assert latents["z0"].note == "No reference image has this latent near 1, so its importance is 0."
    assert latents["z2"].importance != 0.0
    assert latents["z2"].note == "Rests on 12 reference images only, those with this latent near -0.5."
    assert latents["z1"].note == ""


def test_sobol_says_where_there_is_little_to_share(make_world: MakeWorld, grid: Grid) -> None:
    world = make_world(lambda z: 12.0 + z[:, 0], 2)
    image = world.image([0.5, 0.5])
    ranking = latent_ranking.explain(
        world.models,
        world.reference(grid(2)),
        world.factors(),
        image,
        LatentRankingParameters(method=RankingMethod.SOBOL),
        prediction=world.prediction(image),
    )
    assert ranking.latents[0].note == "A share of very little: the probability deviates by 2e-06 around this image."


def test_a_table_too_poor_for_a_global_importance_says_so(case: Case) -> None:
    poor = case.knowing(bin_counts=case.reference.bin_counts // 20)
    ranking = poor.explain(method=RankingMethod.ORIGINAL_IMAGES, scope=RankingScope.GLOBAL)
    assert all(latent.importance == 0.0 for latent in ranking.latents)
    assert all(latent.note.startswith("Fewer than two bins hold 30") for latent in ranking.latents)


def test_a_factor_of_several_latents_has_the_strongest_or_the_sum(case: Case) -> None:
    pair = Factor(dimensions=(0, 2), label="slant", confidence=LabelConfidence.HIGH)
    factors = (Factor(dimensions=(1,), label="z1"), pair, Factor(dimensions=(3,), label="z3"))
    single = case.explain().latents
    joined = case.explain(factors=factors, include_responses=True).latents
    assert [latent.factor.label for latent in joined] == ["slant", "z1"]
    assert joined[0].importance == single[0].importance
    assert joined[0].latent_values.tolist() == [1.0, -0.5]
    apart = case.explain(method=RankingMethod.RANDOM_FOREST).latents
    together = case.explain(method=RankingMethod.RANDOM_FOREST, factors=factors).latents
    assert together[0].importance == pytest.approx(apart[0].importance + apart[1].importance)


def test_a_negative_permutation_importance_is_the_least(case: Case) -> None:
    ways = {"method": RankingMethod.RANDOM_FOREST, "scope": RankingScope.GLOBAL}
    noisy = case.knowing(permutation=np.array([0.4, -0.02, 0.01, 0.0]))
    assert _names(noisy.explain(measure=ImportanceMeasure.PERMUTATION, **ways)) == ["z0", "z2", "z1"]


def test_no_used_latent_is_an_empty_ranking(case: Case) -> None:
    blind = case.knowing(used=np.zeros(4, np.bool_))
    for method, scope in WAYS:
        assert blind.explain(method=method, scope=scope, include_traversals=True).latents == ()


def test_a_reconstruction_of_another_class_is_told(make_world: MakeWorld, grid: Grid) -> None:
    """The decoder shows no z1, on which the decision rests."""
    world = make_world(lambda z: 2.0 * z[:, 1] - z[:, 0], 2, effect=[1.0, 0.0])
    image = np.array([[[0.6, 0.9]]], np.float32)
    assert world.prediction(image).class_index == 1
    ranking = latent_ranking.explain(
        world.models,
        world.reference(grid(2)),
        world.factors(),
        image,
        LatentRankingParameters(),
        prediction=world.prediction(image),
    )
    assert not ranking.reconstruction_agrees


@pytest.mark.parametrize(("latents", "channels"), [(1, 1), (2, 3), (100, 1), (100, 3)])
@pytest.mark.parametrize("method", [m for m in RankingMethod if m is not RankingMethod.RANDOM_FOREST])
def test_any_number_of_latents_and_channels(
    make_world: MakeWorld, latents: int, channels: int, method: RankingMethod
) -> None:
    """Ten classes, class k reading latent 0 at slope k: the first latent leads, whatever stands beside it."""
    world = make_world(
        lambda z: z[:, :1] * np.arange(10.0) / 3, latents, channels=channels, classes=10, effect=[1.0] * latents
    )
    codes = np.random.default_rng(0).standard_normal((400, latents)).astype(np.float32)
    reference = replace(world.reference(codes), used=np.ones(latents, np.bool_))
    image = world.image([0.5] * latents)
    ranking = latent_ranking.explain(
        world.models,
        reference,
        world.factors(),
        image,
        LatentRankingParameters(method=method, target_class=9),
        prediction=world.prediction(image),
    )
    assert len(ranking.latents) == latents
    assert ranking.latents[0].factor.label == "z0"
    assert ranking.latents[0].direction == 1.0


def test_a_cancelled_request_asks_the_models_nothing(case: Case) -> None:
    budget = Budget()
    budget.cancel()
    with pytest.raises(Cancelled):
        case.explain(budget=budget)
    assert case.world.autoencoder.decoded == []


def test_sobol_tells_a_deadline_that_it_cannot_meet(case: Case) -> None:
    with pytest.raises(DeadlineTooShort):
        case.explain(method=RankingMethod.SOBOL, budget=Budget(time.monotonic()))
    assert case.explain(budget=Budget(time.monotonic())).latents


def test_the_seed_decides_sobols_sample(case: Case) -> None:
    asked = [case.explain(method=RankingMethod.SOBOL, seed=seed).latents[0].importance for seed in (5, 5, 6)]
    assert asked[0] == asked[1] != asked[2]
