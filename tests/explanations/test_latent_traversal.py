from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from explaind.errors import Cancelled, ParameterOutOfRange
from explaind.explanations import latent_traversal
from explaind.explanations.budget import Budget
from explaind.explanations.latent_types import Hold, LatentTraversals, TraversalParameters
from explaind.explanations.types import Factor, RankingReference
from tests.explanations.conftest import MakeWorld, World

LATENTS = 3


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    """Latent 0 decides for class 1, latent 1 twice as much against it, latent 2 not at all."""
    return make_world(lambda codes: codes[:, 0] - 2 * codes[:, 1], LATENTS, channels=2)


@pytest.fixture
def reference(world: World) -> RankingReference:
    codes = np.random.default_rng(0).normal(size=(100, LATENTS)).astype(np.float32)
    return replace(world.reference(codes), used=np.array([True, True, False]))


def walked(
    world: World, reference: RankingReference, code: list[float], budget: Budget | None = None, **asked: Any
) -> LatentTraversals:
    image = world.image(code)
    return latent_traversal.traverse(
        world.models,
        reference,
        asked.pop("factors", world.factors()),
        image,
        TraversalParameters(**asked),
        prediction=world.prediction(image),
        budget=budget,
    )


def probability(score: float | np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.asarray(score)))


def test_used_latents_are_moved_about_the_image(world: World, reference: RankingReference) -> None:
    answer = walked(world, reference, [1, -0.5, 0.25])
    assert [found.dimension for found in answer.traversals] == [0, 1]
    first = answer.traversals[0]
    assert first.values == pytest.approx(np.linspace(-3, 3, 10), abs=1e-6)
    assert first.images.shape == (10, 2, 1, LATENTS)
    assert first.encoded_value == pytest.approx(1, abs=1e-5)
    assert first.response == pytest.approx(probability(first.values + 1), abs=1e-5)
    assert first.images[0] == pytest.approx(world.image([-3, -0.5, 0.25]), abs=1e-6)
    assert answer.reconstruction == pytest.approx(world.image([1, -0.5, 0.25]), abs=1e-6)
    assert answer.reconstruction_agrees


def test_the_others_may_be_held_at_zero(world: World, reference: RankingReference) -> None:
    answer = walked(world, reference, [1, -0.5, 0.25], hold=Hold.ZERO, low=0.0, high=2.0, steps=3)
    first = answer.traversals[0]
    assert list(first.values) == [0, 1, 2]
    assert first.response == pytest.approx(probability(first.values), abs=1e-5)
    assert first.images[1] == pytest.approx(world.image([1, 0, 0]), abs=1e-6)
    assert answer.reconstruction == pytest.approx(world.image([1, -0.5, 0.25]), abs=1e-6)


def test_the_response_is_of_the_predicted_class(world: World, reference: RankingReference) -> None:
    falling = walked(world, reference, [-1, 1, 0], dimensions=(0,)).traversals[0]
    assert falling.response == pytest.approx(probability(2 - falling.values), abs=1e-5)


def test_unused_latents_and_any_order_are_allowed(world: World, reference: RankingReference) -> None:
    answer = walked(world, reference, [0.5, 0, 0], dimensions=(2, 0))
    assert [found.factor.label for found in answer.traversals] == ["z2", "z0"]
    assert np.ptp(answer.traversals[0].response) < 1e-6


def test_a_latent_of_a_larger_factor_is_moved_by_itself(world: World, reference: RankingReference) -> None:
    factors = (Factor(dimensions=(0, 1), label="place"), Factor(dimensions=(2,), label="size"))
    answer = walked(world, reference, [0.5, 0, 0], factors=factors)
    assert [(found.factor.label, found.dimension) for found in answer.traversals] == [("place", 0), ("place", 1)]
    assert answer.traversals[1].images[0] == pytest.approx(world.image([0.5, -3, 0]), abs=1e-6)


def test_many_images_are_decoded_in_several_calls(make_world: MakeWorld) -> None:
    world = make_world(lambda codes: codes[:, 0], 6)
    reference = world.reference(np.zeros((2, 6), np.float32))
    world.autoencoder.decoded.clear()
    image = np.full((1, 1, 6), 0.5, np.float32)
    asked = TraversalParameters(dimensions=tuple(range(6)), steps=100)
    answer = latent_traversal.traverse(
        world.models, reference, world.factors(), image, asked, prediction=world.prediction(image)
    )
    assert world.autoencoder.decoded == [512, 89]
    assert answer.traversals[5].images[-1, 0, 0, 5] == pytest.approx(0.5 + 3 / 8)


def test_no_used_latent_leaves_the_reconstruction(world: World, reference: RankingReference) -> None:
    answer = walked(world, replace(reference, used=np.zeros(LATENTS, np.bool_)), [1, 0, 0])
    assert answer.traversals == () and answer.reconstruction_agrees


def test_a_cancelled_caller_ends_it(world: World, reference: RankingReference) -> None:
    budget = Budget()
    budget.cancel()
    with pytest.raises(Cancelled):
        walked(world, reference, [1, 0, 0], budget)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"dimensions": (3,)}, "dimension"),
        ({"dimensions": (-1,)}, "dimension"),
        ({"dimensions": (0, 1, 0)}, "dimension"),
        ({"steps": 1}, "steps"),
        ({"steps": -5}, "steps"),
        ({"steps": 101}, "steps"),
        ({"low": float("nan")}, "low"),
        ({"low": -11.0}, "low"),
        ({"high": float("nan")}, "high"),
        ({"high": float("inf")}, "high"),
        ({"low": 1.0, "high": 1.0}, "high"),
        ({"low": 2.0, "high": 1.0}, "high"),
    ],
    ids=str,
)
def test_what_cannot_be_is_named(world: World, reference: RankingReference, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(ParameterOutOfRange) as caught:
        walked(world, reference, [1, 0, 0], **asked)
    assert caught.value.field == field


def test_more_images_than_one_answer_holds_are_refused(reference: RankingReference) -> None:
    asked = TraversalParameters(dimensions=(0, 1), steps=100)
    assert latent_traversal.checked_dimensions(asked, reference, (1, 28, 28)) == (0, 1)
    with pytest.raises(ParameterOutOfRange, match="200 images; one answer holds 55") as caught:
        latent_traversal.checked_dimensions(asked, reference, (3, 224, 224))
    assert caught.value.field == "steps"
