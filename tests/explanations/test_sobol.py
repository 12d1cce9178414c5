"""Total-effect indices against closed forms."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from explaind.errors import Cancelled, DeadlineTooShort
from explaind.explanations import sobol
from explaind.explanations.budget import Budget

MakeWorld = Callable[..., Any]


def test_indices_of_a_nearly_linear_response_are_the_squared_weights(make_world: MakeWorld) -> None:
    """A logistic of small slope is linear, so S_T of weights 3, 2, 1, 0 is 9/14, 4/14, 1/14, 0."""
    world = make_world(lambda z: 0.01 * (3 * z[:, 0] + 2 * z[:, 1] + z[:, 2]), 4)
    effects = sobol.prior_total_effects(world.models, 4, seed=1, base_samples=20_000)
    assert effects.indices[1] == pytest.approx([9 / 14, 4 / 14, 1 / 14, 0.0], abs=0.02)
    assert effects.indices[1, 3] == 0.0
    assert effects.indices[0] == pytest.approx(effects.indices[1])
    assert effects.directions[1, :3].tolist() == [1.0, 1.0, 1.0]
    assert effects.directions[0, :3].tolist() == [-1.0, -1.0, -1.0]
    assert effects.directions[1, 3] == 0.0


def test_interactions_count_for_every_latent_in_them(make_world: MakeWorld) -> None:
    """Of sign(z0)·sign(z1) each latent alone decides everything once the other is known: S_T = 1 for both."""
    world = make_world(lambda z: 5.0 * np.sign(z[:, 0]) * np.sign(z[:, 1]), 3)
    indices = sobol.prior_total_effects(world.models, 3, seed=2, base_samples=4096).indices[1]
    assert indices == pytest.approx([1.0, 1.0, 0.0], abs=0.05)


def test_a_constant_classifier_has_no_effects_and_no_division_by_zero(make_world: MakeWorld) -> None:
    effects = sobol.prior_total_effects(make_world(lambda z: 0 * z[:, 0], 3).models, 3, seed=0)
    assert (effects.indices == 0.0).all()
    assert (effects.directions == 0.0).all()


def test_the_box_moves_the_named_latents_only(make_world: MakeWorld) -> None:
    world = make_world(lambda z: z[:, 0] + z[:, 1], 3)
    mean = np.array([0.5, 0.5, 0.5], np.float32)
    indices = sobol.box_total_effects(world.models, mean, [0, 2], seed=0).indices[1]
    assert indices[0] == pytest.approx(1.0, abs=0.2)
    assert indices[1:].tolist() == [0.0, 0.0]
    assert sum(world.autoencoder.decoded) == 256 * (2 + 1)
    assert max(world.autoencoder.decoded) <= 512


def test_the_box_is_local(make_world: MakeWorld) -> None:
    """The response steps at z0 = 2: seen from 1.5, not from −1.5."""
    world = make_world(lambda z: 9.0 * np.sign(z[:, 0] - 2.0), 2)
    near, far = (np.array([at, 0.0], np.float32) for at in (1.5, -1.5))
    assert sobol.box_total_effects(world.models, near, [0, 1], seed=0).indices[1, 0] > 0.9
    assert (sobol.box_total_effects(world.models, far, [0, 1], seed=0).indices == 0.0).all()


def test_indices_stay_within_their_range_where_the_response_is_flat_but_for_a_corner(make_world: MakeWorld) -> None:
    """A confident image: the probability falls in one corner in a hundred of the box, which few samples meet."""
    corner = make_world(lambda z: 9.0 - 18.0 * (np.minimum(z[:, 0], z[:, 1]) > 0.8), 3)
    for seed in range(20):
        indices = sobol.box_total_effects(corner.models, np.zeros(3, np.float32), [0, 1, 2], seed=seed).indices[1]
        assert (indices[:2] > 0.4).all()
        assert (indices <= 1.0).all()
        assert indices[2] == 0.0


def test_a_seed_repeats_and_another_differs(make_world: MakeWorld) -> None:
    world = make_world(lambda z: z[:, 0] * z[:, 1], 2)
    same = [sobol.prior_total_effects(world.models, 2, seed=7).indices for _ in range(2)]
    other = sobol.prior_total_effects(world.models, 2, seed=8).indices
    assert np.array_equal(*same)
    assert not np.array_equal(same[0], other)


def test_a_spent_deadline_is_told_and_a_cancelled_one_ends(make_world: MakeWorld) -> None:
    world, mean = make_world(lambda z: z[:, 0], 2), np.zeros(2, np.float32)
    with pytest.raises(DeadlineTooShort, match="another method"):
        sobol.box_total_effects(world.models, mean, [0, 1], seed=0, budget=Budget(time.monotonic()))
    cancelled = Budget()
    cancelled.cancel()
    with pytest.raises(Cancelled):
        sobol.box_total_effects(world.models, mean, [0, 1], seed=0, budget=cancelled)
    assert world.autoencoder.decoded == []
