"""Traversals: the codes, the one batch, and which latents are used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from explaind.errors import Cancelled
from explaind.explanations import responses, traversal
from explaind.explanations.budget import Budget

MakeWorld = Callable[..., Any]


def test_codes_move_one_latent_and_hold_the_others() -> None:
    center = np.array([0.5, -1.5, 2.0], np.float32)
    table = traversal.codes(center, [2, 0])
    assert table.shape == (2, 10, 3)
    assert table.dtype == np.float32
    np.testing.assert_allclose(table[0, :, 2], np.linspace(-3, 3, 10), rtol=1e-6)
    assert (table[0, :, :2] == center[:2]).all()
    assert (table[1, :, 1:] == center[1:]).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_walk_is_one_batch_with_the_reconstruction_in_it(make_world: MakeWorld, channels: int) -> None:
    world = make_world(lambda z: z[:, 1], 3, channels=channels)
    mean = np.array([0.0, 1.0, 0.0], np.float32)
    walk = traversal.walk(world.models, mean, mean, [0, 1])
    assert world.autoencoder.decoded == [1 + 2 * 10]
    assert walk.images.shape == (2, 10, channels, 1, 3)
    assert walk.logits.shape == (2, 10, 2)
    assert walk.reconstruction_class == 1
    assert responses.log_odds(walk.logits)[1, :, 1] == pytest.approx(np.linspace(-3, 3, 10), abs=1e-5)


def test_a_walk_over_nothing_is_the_reconstruction_alone(make_world: MakeWorld) -> None:
    world = make_world(lambda z: z[:, 0], 2)
    mean = np.array([-1.0, 0.0], np.float32)
    walk = traversal.walk(world.models, mean, mean, [])
    assert walk.reconstruction_class == 0
    assert walk.images.shape[0] == 0


def test_codes_beyond_a_batch_are_split_and_keep_their_order(make_world: MakeWorld) -> None:
    world = make_world(lambda z: z[:, 0], 1)
    codes = np.linspace(-3, 3, 1100, dtype=np.float32)[:, None]
    logits = traversal.logits_of_codes(world.models, codes)
    assert world.autoencoder.decoded == [512, 512, 76]
    np.testing.assert_allclose(responses.log_odds(logits)[:, 1], codes[:, 0], atol=1e-5)


def test_a_cancelled_request_decodes_nothing_more(make_world: MakeWorld) -> None:
    world = make_world(lambda z: z[:, 0], 1)
    budget = Budget()
    budget.cancel()
    with pytest.raises(Cancelled):
        traversal.logits_of_codes(world.models, np.zeros((3, 1), np.float32), budget)
    assert world.autoencoder.decoded == []


def test_global_responses_hold_the_others_at_zero(make_world: MakeWorld) -> None:
    table = traversal.global_responses(make_world(lambda z: 2.0 * z[:, 0] + z[:, 1], 3).models, 3)
    assert table.probability.shape == table.log_odds.shape == (3, 10, 2)
    np.testing.assert_allclose(table.log_odds[0, :, 1], 2.0 * traversal.VALUES, atol=1e-5)
    np.testing.assert_allclose(table.log_odds[1, :, 0], -traversal.VALUES, atol=1e-5)
    assert (table.log_odds[2] == 0.0).all()
    assert (table.probability[2] == 0.5).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_visible_effect_is_the_largest_mean_change_of_a_pixel(make_world: MakeWorld, channels: int) -> None:
    world = make_world(lambda z: z[:, 0], 3, effect=[1.0, 0.5, 0.0], channels=channels)
    effect = traversal.visible_effect(world.autoencoder, 3)
    assert effect == pytest.approx([6 / 8 / 3, 3 / 8 / 3, 0.0], abs=1e-6)


def test_mean_kl_of_the_prior_is_zero_and_grows_with_the_mean() -> None:
    mean = np.zeros((5, 3), np.float32)
    mean[:, 1] = 2.0
    deviation = np.ones((5, 3), np.float32)
    deviation[:, 2] = 0.1
    assert traversal.mean_kl(mean, deviation) == pytest.approx([0.0, 2.0, 0.5 * (0.01 - 1.0 - np.log(0.01))])


def test_a_latent_needs_both_divergence_and_effect_to_be_used() -> None:
    kl = np.array([0.1, 0.0999, 5.0, 5.0])
    effect = np.array([0.02, 0.5, 0.0199, 0.02])
    assert traversal.used(kl, effect).tolist() == [True, False, False, True]
    assert traversal.used(kl, effect, minimum_kl=0.0, minimum_effect=0.0).all()
