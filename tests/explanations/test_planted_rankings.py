"""Planted truths: models whose important latents are known by construction, asked by every method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.inspection import permutation_importance

from explaind.explanations import latent_ranking, random_forest
from explaind.explanations.types import (
    FloatArray,
    ForestArrays,
    ImportanceMeasure,
    LatentRanking,
    LatentRankingParameters,
    RankingMethod,
    RankingReference,
    RankingScope,
)

MakeWorld = Callable[..., Any]
Grid = Callable[[int], FloatArray]
EXACT = [way for way in product(RankingMethod, RankingScope) if way[0] is not RankingMethod.RANDOM_FOREST]


def _rank(world: Any, reference: RankingReference, code: list[float], **asked: Any) -> LatentRanking:
    image = world.image(code)
    return latent_ranking.explain(
        world.models,
        reference,
        world.factors(),
        image,
        LatentRankingParameters(**asked),
        prediction=world.prediction(image),
    )


def _importances(ranking: LatentRanking) -> dict[str, float]:
    return {latent.factor.label: latent.importance for latent in ranking.latents}


@pytest.mark.parametrize("causal", [0, 1, 2])
@pytest.mark.parametrize(("method", "scope"), EXACT)
def test_the_one_causal_latent_leads_and_the_others_are_at_zero(
    make_world: MakeWorld, grid: Grid, causal: int, method: RankingMethod, scope: RankingScope
) -> None:
    """Linear decoder, logistic classifier reading one latent, full-factorial reference."""
    world = make_world(lambda z: 2.0 * z[:, causal], 3)
    reference = world.reference(grid(3))
    for measure in latent_ranking.MEASURES[method, scope]:
        found = _importances(_rank(world, reference, [1.0, 1.0, 1.0], method=method, scope=scope, measure=measure))
        assert abs(found.pop(f"z{causal}")) > 0.05
        assert list(found.values()) == pytest.approx([0.0, 0.0], abs=1e-6)


def _fit(codes: FloatArray, decisions: np.ndarray, seed: int = 0) -> tuple[RandomForestClassifier, ForestArrays]:
    fitted = RandomForestClassifier(20, max_leaf_nodes=100, random_state=seed).fit(codes, decisions)
    return fitted, random_forest.pack(fitted, 2)


def _permutation(
    fitted: RandomForestClassifier, codes: FloatArray, decisions: np.ndarray, seed: int, repeats: int
) -> np.ndarray:
    """As training computes what a bundle stores."""
    found = permutation_importance(fitted, codes, decisions, n_repeats=repeats, random_state=seed)
    return np.asarray(found.importances_mean)


@pytest.mark.parametrize("causal", [0, 2])
def test_the_forests_other_latents_are_below_a_permuted_label_null(
    make_world: MakeWorld, grid: Grid, causal: int
) -> None:
    world = make_world(lambda z: 2.0 * z[:, causal], 3)
    codes = grid(3)
    decisions = world.logits(codes).argmax(axis=1).astype(np.int32)
    local, impurity, permutation = _forest_rankings(world, codes, decisions)
    generator = np.random.default_rng(0)
    nulls = [_forest_rankings(world, codes, generator.permutation(decisions), seed=seed) for seed in range(5)]
    others = [f"z{latent}" for latent in range(3) if latent != causal]
    for ranking, null in zip((local, impurity, permutation), zip(*nulls, strict=True), strict=True):
        found = _importances(ranking)
        assert next(iter(found)) == f"z{causal}"
        for other in others:
            by_chance = [abs(_importances(shuffled)[other]) for shuffled in null]
            assert abs(found[other]) <= float(np.mean(by_chance))


def _forest_rankings(
    world: Any, codes: FloatArray, decisions: np.ndarray, seed: int = 0
) -> tuple[LatentRanking, LatentRanking, LatentRanking]:
    """Local Shapley, global impurity and global permutation of a forest fitted on half of the codes."""
    order = np.random.default_rng(99).permutation(len(codes))
    train, held_out = order[::2], order[1::2]
    fitted, packed = _fit(codes[train], decisions[train], seed)
    losses = _permutation(fitted, codes[held_out], decisions[held_out], seed, repeats=5)
    reference = replace(world.reference(codes, packed), impurity=fitted.feature_importances_, permutation=losses)
    asked = {"method": RankingMethod.RANDOM_FOREST, "target_class": 1}
    return (
        _rank(world, reference, [1.0, 1.0, 1.0], **asked),
        _rank(world, reference, [1.0, 1.0, 1.0], scope=RankingScope.GLOBAL, **asked),
        _rank(
            world,
            reference,
            [1.0, 1.0, 1.0],
            scope=RankingScope.GLOBAL,
            measure=ImportanceMeasure.PERMUTATION,
            **asked,
        ),
    )


def test_a_latent_that_the_decoder_ignores_is_not_used(make_world: MakeWorld, grid: Grid) -> None:
    """However far its mean strays from the prior: on [−3, 3] it moves no pixel."""
    world = make_world(lambda z: 2.0 * z[:, 0], 3, effect=[1.0, 0.0, 1.0])
    reference = world.reference(grid(3))
    assert reference.mean_kl.min() > 0.1
    assert reference.used.tolist() == [True, False, True]
    for method, scope in EXACT:
        assert "z1" not in _importances(_rank(world, reference, [1.0, 1.0, 1.0], method=method, scope=scope))


def test_an_xor_is_missed_by_traversal_and_found_by_sobol(make_world: MakeWorld, grid: Grid) -> None:
    """Globally: with z1 held at 0 the sign of z0 says nothing, and no bin of either latent differs."""
    world = make_world(lambda z: 4.0 * np.sign(z[:, 0]) * np.sign(z[:, 1]), 3)
    reference = world.reference(grid(3))
    ways = {"scope": RankingScope.GLOBAL, "target_class": 1}
    for missing in (RankingMethod.GENERATED_IMAGES, RankingMethod.ORIGINAL_IMAGES):
        missed = _importances(_rank(world, reference, [1.0, 1.0, 1.0], method=missing, **ways))
        assert list(missed.values()) == pytest.approx([0.0, 0.0, 0.0], abs=1e-6)
    found = _importances(_rank(world, reference, [1.0, 1.0, 1.0], method=RankingMethod.SOBOL, **ways))
    assert min(found["z0"], found["z1"]) > 0.8
    assert found["z2"] == 0.0


def test_permutation_sees_through_an_acausal_latent_and_impurity_does_not(make_world: MakeWorld) -> None:
    """Causal weights 3, 2, 1, 0.5; z4 decides nothing but correlates 0.8 with z0; z5 to z7 are noise."""
    weights = np.array([3.0, 2.0, 1.0, 0.5, 0.0, 0.0, 0.0, 0.0])
    world = make_world(lambda z: z @ weights, 8)
    generator = np.random.default_rng(0)
    codes = generator.standard_normal((12_000, 8)).astype(np.float32)
    codes[:, 4] = 0.8 * codes[:, 0] + 0.6 * codes[:, 4]
    assert np.corrcoef(codes[:, 0], codes[:, 4])[0, 1] == pytest.approx(0.8, abs=0.01)
    decisions = world.logits(codes).argmax(axis=1).astype(np.int32)
    fitted = RandomForestClassifier(50, max_leaf_nodes=500, random_state=0).fit(codes[:8000], decisions[:8000])
    packed = random_forest.pack(fitted, 2)
    permutation = _permutation(fitted, codes[8000:], decisions[8000:], seed=0, repeats=3)
    reference = replace(
        world.reference(codes[:2000], packed), impurity=fitted.feature_importances_, permutation=permutation
    )
    ways = {"method": RankingMethod.RANDOM_FOREST, "scope": RankingScope.GLOBAL}
    by_permutation = list(
        _importances(_rank(world, reference, [0.0] * 8, measure=ImportanceMeasure.PERMUTATION, **ways))
    )
    by_impurity = list(_importances(_rank(world, reference, [0.0] * 8, measure=ImportanceMeasure.IMPURITY, **ways)))
    assert fitted.feature_importances_[5:].sum() > 0.05  # mass given to noise
    assert np.abs(permutation[5:]).max() < 0.005
    assert by_permutation[:4] == ["z0", "z1", "z2", "z3"]
    assert by_impurity.index("z4") < by_impurity.index("z2")
    by_sobol = list(
        _importances(_rank(world, reference, [0.0] * 8, method=RankingMethod.SOBOL, scope=RankingScope.GLOBAL))
    )
    assert by_sobol[:4] == ["z0", "z1", "z2", "z3"]
