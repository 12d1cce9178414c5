from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal

from explaind.explanations.reconstruction_losses import losses
from explaind.training.reconstruction_terms import (
    RECONSTRUCTION_TERMS,
    bernoulli_loss,
    cosine_loss,
    gaussian_loss,
    similarity,
    ssim_loss,
)

IMAGES = Path(__file__).parents[1] / "data" / "images.npz"


def _pairs() -> tuple[Tensor, Tensor]:
    """Real digits and clothes, and the same disturbed; one black image among them."""
    with np.load(IMAGES) as archive:
        pixels = np.concatenate([archive["mnist"][:40], archive["fashion"][:40]])[:, None]
    images = torch.from_numpy(pixels).float() / 255
    images[0] = 0.0
    torch.manual_seed(4)
    return images, (images + 0.2 * torch.randn_like(images)).clamp(0.001, 0.999)


def test_bernoulli_loss_sums_over_pixels() -> None:
    half = torch.full((2, 1, 3, 3), 0.5)
    torch.testing.assert_close(bernoulli_loss(half, half), torch.full((2,), 9 * 0.6931472))


def test_gaussian_loss_is_a_log_likelihood_less_its_constant() -> None:
    images, rebuilt = _pairs()
    likelihood = Normal(rebuilt, 0.5**0.5).log_prob(images).flatten(1).sum(dim=1)  # type: ignore[no-untyped-call]
    at_best = Normal(images, 0.5**0.5).log_prob(images).flatten(1).sum(dim=1)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(gaussian_loss(rebuilt, images), at_best - likelihood, rtol=1e-4, atol=1e-3)


def test_terms_are_the_anomaly_scores_losses_on_another_scale() -> None:
    images, rebuilt = _pairs()
    expected, values = losses(images.numpy(), rebuilt.numpy()), images[0].numel()
    np.testing.assert_allclose(gaussian_loss(rebuilt, images) / values, expected.mse, atol=1e-6)
    np.testing.assert_allclose(cosine_loss(rebuilt, images)[1:] / values, expected.cosine_distance[1:], atol=1e-6)
    np.testing.assert_allclose(bernoulli_loss(rebuilt, images) / values, expected.cross_entropy, atol=1e-6)
    np.testing.assert_allclose(ssim_loss(rebuilt, images) / values, 1 - expected.ssim, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (1, 64, 48)])
def test_similarity_is_the_served_one(shape: tuple[int, int, int]) -> None:
    torch.manual_seed(5)
    first, second = torch.rand(6, *shape), torch.rand(6, *shape)
    second[:2] = first[:2] + 1e-3
    second[2], first[2] = 0.4, 0.41  # flat images: all cancellation
    expected = losses(first.numpy(), second.numpy()).ssim
    assert np.abs(similarity(first, second).numpy() - expected).max() < 1e-5


@pytest.mark.parametrize("name", sorted(RECONSTRUCTION_TERMS))
def test_gradients_are_finite_and_lead_towards_the_image(name: str) -> None:
    images, rebuilt = _pairs()
    rebuilt[1] = 0.0 if name in ("cosine", "ssim") else rebuilt[1]  # a saturated decoder
    rebuilt.requires_grad_()
    term = RECONSTRUCTION_TERMS[name]
    (gradient,) = torch.autograd.grad(term(rebuilt, images).sum(), [rebuilt])
    assert gradient.isfinite().all()
    with torch.no_grad():
        nearer = term((rebuilt - 1e-3 * gradient / gradient.norm()).clamp(1e-4, 1 - 1e-4), images)
    assert nearer.sum() < term(rebuilt, images).sum()
