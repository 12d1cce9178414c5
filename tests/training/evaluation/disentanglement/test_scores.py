"""Every score on codes whose truth is planted: perfect, rotated, noise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from explaind.errors import DataSetInvalid
from explaind.training.evaluation.disentanglement.fixed_factor import factor_score
from explaind.training.evaluation.disentanglement.importance import completeness, dci, disentanglement
from explaind.training.evaluation.disentanglement.information import (
    Codes,
    Factors,
    discretised,
    entropies,
    gaps,
    mutual_information,
)
from explaind.training.evaluation.disentanglement.predictability import sap, separate_scores
from explaind.training.evaluation.disentanglement.scores import Scores, scores

VALUES = (3, 6, 8, 12)
COUNT = 3000


@pytest.fixture(scope="module")
def factors() -> Factors:
    generator = np.random.default_rng(11)
    return np.stack([generator.integers(0, values, COUNT) for values in VALUES], axis=1)


def _standardised(factors: Factors) -> Codes:
    return np.asarray((factors - factors.mean(axis=0)) / factors.std(axis=0))


def _with_unused(codes: Codes) -> Codes:
    """Two latents more that say nothing, as a VAE's unused ones."""
    noise = np.random.default_rng(12).normal(0, 1e-3, (len(codes), 2))
    return np.concatenate([codes, noise], axis=1)


def _rotated(codes: Codes, angle: float) -> Codes:
    """Pairs of latents turned by `angle`."""
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    return np.asarray((codes.reshape(len(codes), -1, 2) @ turn).reshape(codes.shape))


def _all(codes: Codes, factors: Factors) -> Scores:
    return scores(codes, np.full(codes.shape, 0.02), factors, seed=1)


@pytest.fixture(scope="module")
def perfect(factors: Factors) -> Scores:
    return _all(_with_unused(_standardised(factors))[:, [4, 2, 0, 3, 1, 5]], factors)


@pytest.fixture(scope="module")
def rotated(factors: Factors) -> Scores:
    return _all(_with_unused(_rotated(_standardised(factors), math.pi / 5)), factors)


@pytest.fixture(scope="module")
def noise(factors: Factors) -> Scores:
    return _all(np.random.default_rng(13).normal(size=(COUNT, 6)), factors)


def _figures(found: Scores) -> dict[str, float]:
    return {
        "mig": found.mig, "sap": found.sap, "factor_vae": found.factor_vae,
        "disentanglement": found.dci.disentanglement, "completeness": found.dci.completeness,
    }  # fmt: skip


def test_a_perfect_code_scores_one_in_any_order_of_latents(perfect: Scores) -> None:
    assert min(_figures(perfect).values()) > 0.95
    assert perfect.dci.informativeness > 0.99
    assert min(perfect.factor_gaps) > 0.95
    assert perfect.mig == pytest.approx(np.mean(perfect.factor_gaps))


def test_noise_scores_nothing(noise: Scores) -> None:
    figures = _figures(noise)
    assert figures.pop("factor_vae") < 0.35  # a guess among four factors, and the luck of the vote
    assert max(figures.values()) < 0.06
    assert abs(noise.dci.informativeness - noise.dci.majority) < 0.05


def test_a_rotated_code_lies_between(perfect: Scores, rotated: Scores, noise: Scores) -> None:
    """It knows as much, but no latent knows a factor alone. Not so the FactorVAE score: see below."""
    figures = _figures(rotated)
    del figures["factor_vae"]
    for name, value in figures.items():
        assert _figures(noise)[name] + 0.03 < value < _figures(perfect)[name] - 0.1, name
    assert rotated.dci.informativeness > 0.7


def test_the_factor_vae_score_sees_a_rotation_only_where_no_latent_leans_to_a_factor(factors: Factors) -> None:
    """By 36 degrees the latent that varies least still names the factor; by 45 it is one of two by chance."""
    quarters = factors // np.array([1, 2, 1, 2])  # pairs of alike factors: 3 and 3 values, 8 and 6
    turned = [factor_score(_rotated(_standardised(quarters), angle), quarters) for angle in (math.pi / 5, math.pi / 4)]
    assert turned[0] > 0.95
    assert turned[1] < 0.8


def test_a_latent_that_is_all_noise_counts_for_its_means_alone(factors: Factors) -> None:
    """Why codes are drawn: means so small that the decoder never sees them are exact all the same."""
    means = _standardised(factors)
    hidden = np.concatenate([means, means * 1e-3], axis=1)
    deviations = np.concatenate([np.full(means.shape, 0.02), np.ones(means.shape)], axis=1)
    found = scores(hidden, deviations, factors)
    assert found.mig > 0.9
    assert found.mig_of_means < 0.05  # two latents know each factor alike


def test_information_of_a_copy_is_the_entropy(factors: Factors) -> None:
    information = mutual_information(_standardised(factors), factors)
    assert np.diag(information) == pytest.approx(entropies(factors))
    assert entropies(factors) == pytest.approx(np.log(VALUES), rel=1e-2)
    assert information[0, 1] < 0.02


def test_half_a_factor_is_half_its_information() -> None:
    """A latent that tells four values in pairs knows ln 2 of ln 4."""
    factor = np.tile(np.arange(4), 50)[:, None]
    information = mutual_information((factor // 2).astype(float), factor)
    assert information[0, 0] == pytest.approx(math.log(2))
    assert gaps(np.array([[math.log(2)], [0.0]]), entropies(factor)) == pytest.approx([0.5])


def test_a_factor_that_never_changes_has_no_gap() -> None:
    assert gaps(np.zeros((3, 1)), np.zeros(1)) == pytest.approx([0.0])


def test_bins_span_a_latents_own_range() -> None:
    codes = np.stack([np.linspace(-3, 3, 40), np.full(40, 2.0)], axis=1)
    binned = discretised(codes, bins=10)
    assert binned[:, 0].min() == 0
    assert binned[:, 0].max() == 9
    assert np.all(np.bincount(binned[:, 0]) == 4)
    assert np.all(binned[:, 1] == 0)


def test_concentration_is_one_for_one_factor_and_nothing_for_all_alike() -> None:
    assert disentanglement(np.eye(4)) == pytest.approx(1)
    assert completeness(np.eye(4)) == pytest.approx(1)
    assert disentanglement(np.ones((4, 4))) == pytest.approx(0, abs=1e-12)
    two_latents_for_one_factor = np.array([[0.5, 0], [0.5, 0], [0, 1], [0, 0]])
    assert disentanglement(two_latents_for_one_factor) == pytest.approx(1)
    assert completeness(two_latents_for_one_factor) == pytest.approx((0.5 + 1) / 2)
    assert disentanglement(np.zeros((4, 2))) == 0


def test_the_squared_correlation_is_that_of_a_line(factors: Factors) -> None:
    codes = _standardised(factors) + np.random.default_rng(14).normal(0, 1, factors.shape)
    expected = np.corrcoef(codes[:, 2], factors[:, 3])[0, 1] ** 2
    assert separate_scores(codes, factors)[2, 3] == pytest.approx(expected)


def test_a_class_in_the_middle_of_a_latent_is_not_lost(factors: Factors) -> None:
    assert separate_scores(_standardised(factors), factors)[0, 0] == pytest.approx(1)
    assert sap(_standardised(factors)[:, [0, 0]], factors) == pytest.approx(0)


def test_no_used_latent_no_vote(factors: Factors) -> None:
    assert factor_score(np.zeros((COUNT, 3)), factors) == 0


def test_scores_are_seeded(factors: Factors) -> None:
    codes = _rotated(_standardised(factors), 0.4)
    first, again = (factor_score(codes, factors, votes=50, seed=3) for _ in range(2))
    assert first == again
    assert dci(codes, factors, seed=3) == dci(codes, factors, seed=3)


@pytest.mark.parametrize(
    ("rows", "latents", "kinds", "message"),
    [(100, 4, 4, "100 images are too few"), (300, 1, 4, "at least two latents"), (300, 4, 1, "two factors")],
)
def test_what_cannot_be_scored_is_refused(rows: int, latents: int, kinds: int, message: str) -> None:
    codes = np.zeros((rows, latents))
    with pytest.raises(DataSetInvalid, match=message):
        scores(codes, codes, np.zeros((rows, kinds), np.int64))


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    codes = np.zeros((300, 4))
    with pytest.raises(DataSetInvalid, match="do not belong together"):
        scores(codes, codes, np.zeros((301, 4), np.int64))
