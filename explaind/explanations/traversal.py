"""GENERATED_IMAGES (DESIGN §3.1, [LR]): move one latent, hold the others, decode, ask the classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explaind.explanations import responses
from explaind.explanations.budget import Budget
from explaind.explanations.models import Decoder, RankingModels
from explaind.explanations.types import BoolArray, DoubleArray, FloatArray

STEPS = 10
VALUES: DoubleArray = np.linspace(-3.0, 3.0, STEPS)
BATCH = 512


@dataclass(frozen=True, slots=True)
class GlobalResponses:
    """probability, log_odds (D, 10, K): along each latent's traversal, the others at 0."""

    probability: FloatArray
    log_odds: FloatArray


@dataclass(frozen=True, slots=True)
class Walk:
    """Traversals decoded for one request: images (n, 10, C, H, W) and logits (n, 10, K) of `dimensions` (n of them);
    reconstruction_class: the top class of dec(μ)."""

    dimensions: tuple[int, ...]
    images: FloatArray
    logits: FloatArray
    reconstruction_class: int


def codes(center: FloatArray, dimensions: Sequence[int], values: DoubleArray = VALUES) -> FloatArray:
    """center (D,), values (S,) → (n, S, D): each dimension in turn over the values, the others as in `center`."""
    table = np.empty((len(dimensions), len(values), len(center)), np.float32)
    table[:] = center
    table[range(len(dimensions)), :, list(dimensions)] = values
    return table


def walk(models: RankingModels, mean: FloatArray, center: FloatArray, dimensions: Sequence[int]) -> Walk:
    """Decode and classify dec(μ) and all traversals about `center`, as one batch. mean, center (D,)."""
    table = codes(center, dimensions)
    batch = np.concatenate([mean[None], table.reshape(-1, len(mean))], dtype=np.float32)
    images = models.autoencoder.decode(batch)
    logits = models.classifier.logits(images)
    return Walk(
        dimensions=tuple(dimensions),
        images=images[1:].reshape(table.shape[:2] + images.shape[1:]),
        logits=logits[1:].reshape(table.shape[:2] + logits.shape[1:]),
        reconstruction_class=int(logits[0].argmax()),
    )


def logits_of_codes(models: RankingModels, batch: FloatArray, budget: Budget | None = None) -> FloatArray:
    """codes (B, D) → logits (B, K) of dec(z), at most 512 codes a call; ends between calls when cancelled."""
    parts = []
    for start in range(0, len(batch), BATCH):
        if budget is not None:
            budget.raise_if_cancelled()
        parts.append(models.classifier.logits(models.autoencoder.decode(batch[start : start + BATCH])))
    return np.concatenate(parts)


def global_responses(models: RankingModels, latent_count: int) -> GlobalResponses:
    """Every latent's traversal with the others at 0, as the source: the tables a bundle stores."""
    table = codes(np.zeros(latent_count, np.float32), range(latent_count))
    logits = logits_of_codes(models, table.reshape(-1, latent_count)).reshape(latent_count, STEPS, -1)
    return GlobalResponses(
        probability=responses.probabilities(logits).astype(np.float32),
        log_odds=responses.log_odds(logits).astype(np.float32),
    )


def mean_kl(mean: FloatArray, deviation: FloatArray) -> DoubleArray:
    """Mean KL divergence to the standard normal prior, nat a latent: mean, deviation (N, D) → (D,)."""
    squared_mean = np.square(mean.astype(np.float64))
    variance = np.square(deviation.astype(np.float64))
    divergence = 0.5 * (squared_mean + variance - 1.0 - np.log(np.maximum(variance, 1e-300)))
    return np.asarray(divergence.mean(axis=0))


def visible_effect(decoder: Decoder, latent_count: int) -> DoubleArray:
    """Largest mean |Δpixel| between any two images of each latent's traversal, the others at 0: (D,)."""
    center = np.zeros(latent_count, np.float32)
    effects = (_largest_difference(decoder.decode(codes(center, [d])[0])) for d in range(latent_count))
    return np.fromiter(effects, np.float64, count=latent_count)


def _largest_difference(images: FloatArray) -> float:
    flat = images.reshape(len(images), -1).astype(np.float64)
    return max(float(np.abs(flat - image).mean(axis=1).max()) for image in flat)


def used(kl: DoubleArray, effect: DoubleArray, *, minimum_kl: float = 0.1, minimum_effect: float = 0.02) -> BoolArray:
    """Which latents are ranked: mean KL of at least 0.1 nat **and** a visible effect of at least 0.02; (D,)."""
    return np.asarray((kl >= minimum_kl) & (effect >= minimum_effect))
