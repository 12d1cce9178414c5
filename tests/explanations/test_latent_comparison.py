from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from explaind.explanations.latent_comparison import compare
from explaind.explanations.types import Factor, FloatArray, RankingReference
from tests.explanations.conftest import MakeWorld, World

LATENTS = 4


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world(lambda codes: codes[:, 0], LATENTS)


@pytest.fixture
def reference(world: World) -> RankingReference:
    """Latents with deviations 1, 2, 0.5 and 1, of which the last is not used."""
    codes = np.random.default_rng(0).normal(size=(400, LATENTS)).astype(np.float32)
    made = world.reference(codes)
    deviation = np.array([1.0, 2.0, 0.5, 1.0])
    return replace(made, used=np.array([True, True, True, False]), deviation=deviation)


def pair(world: World, first: list[float], second: list[float]) -> FloatArray:
    return np.stack([world.image(first), world.image(second)])


def test_differences_are_sorted_by_what_random_pairs_differ_by(world: World, reference: RankingReference) -> None:
    images = pair(world, [0, 0, 0, 0], [1, 1.5, -1, 3])
    answer = compare(world.autoencoder, reference, world.factors(), images)
    assert [found.factor.label for found in answer.differences] == ["z2", "z0", "z1"]
    scores = [found.z_score for found in answer.differences]
    assert scores == pytest.approx([-2 / 2**0.5, 1 / 2**0.5, 0.75 / 2**0.5], abs=1e-5)
    assert answer.differences[0].values_a == pytest.approx([0], abs=1e-6)
    assert answer.differences[0].values_b == pytest.approx([-1], abs=1e-5)
    assert answer.distance == pytest.approx((4 + 1 + 0.75**2) ** 0.5, abs=1e-5)
    assert answer.same_p_value == pytest.approx(stats.chi2.cdf((4 + 1 + 0.75**2) / 2, 3), abs=1e-5)


def test_an_image_and_itself_are_nearer_than_any_pair(world: World, reference: RankingReference) -> None:
    answer = compare(world.autoencoder, reference, world.factors(), pair(world, [1, 2, 0, 0], [1, 2, 0, 0]))
    assert (answer.distance, answer.same_p_value) == (0.0, 0.0)
    assert [found.z_score for found in answer.differences] == [0.0, 0.0, 0.0]


def test_swapping_the_images_turns_the_signs(world: World, reference: RankingReference) -> None:
    images = pair(world, [0.5, -1, 0.1, 0], [1, 1, 0.2, 0])
    there = compare(world.autoencoder, reference, world.factors(), images)
    back = compare(world.autoencoder, reference, world.factors(), images[::-1])
    assert [found.z_score for found in back.differences] == [-found.z_score for found in there.differences]
    assert back.same_p_value == there.same_p_value


def test_a_factor_of_several_latents_is_one_difference(world: World, reference: RankingReference) -> None:
    factors = (Factor(dimensions=(0, 1), label="place"), Factor(dimensions=(2, 3), label="size"))
    answer = compare(world.autoencoder, reference, factors, pair(world, [0, 0, 0, 0], [1, -3, 0.5, 3]))
    place = next(found for found in answer.differences if found.factor.label == "place")
    joint = (1 + 2.25) / 2
    assert place.z_score == pytest.approx(-stats.norm.isf(stats.chi2.sf(joint, 2) / 2), abs=1e-5)
    assert place.values_b == pytest.approx([1, -3], abs=1e-5)
    size = next(found for found in answer.differences if found.factor.label == "size")
    assert size.z_score == pytest.approx(1 / 2**0.5, abs=1e-5), "its unused latent does not count"
    assert size.values_b == pytest.approx([0.5, 3], abs=1e-5)


def test_random_pairs_have_uniform_p_values(world: World, reference: RankingReference) -> None:
    scale = np.array([1.0, 2.0, 0.5, 1.0])
    codes = (np.random.default_rng(1).normal(size=(2, 1000, LATENTS)) * scale).tolist()
    images = [pair(world, first, second) for first, second in zip(*codes, strict=True)]
    found = [compare(world.autoencoder, reference, world.factors(), image).same_p_value for image in images]
    assert stats.kstest(found, "uniform").pvalue > 0.01


def test_a_latent_that_never_varied_makes_no_infinity(world: World, reference: RankingReference) -> None:
    constant = replace(reference, deviation=np.array([0.0, 2.0, 0.5, 1.0]))
    answer = compare(world.autoencoder, constant, world.factors(), pair(world, [0, 0, 0, 0], [1, 0, 0, 0]))
    assert answer.differences[0].factor.label == "z0"
    assert np.isfinite(answer.differences[0].z_score) and answer.same_p_value == 1.0


def test_without_used_latents_there_is_nothing_to_compare(world: World, reference: RankingReference) -> None:
    none = replace(reference, used=np.zeros(LATENTS, np.bool_))
    answer = compare(world.autoencoder, none, world.factors(), pair(world, [0, 0, 0, 0], [1, 0, 0, 0]))
    assert (answer.differences, answer.distance, answer.same_p_value) == ((), 0.0, 1.0)
