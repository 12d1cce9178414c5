"""Models in NumPy whose truth is known by construction, and the reference statistics a bundle would hold of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pytest
from numpy.typing import NDArray

from explaind.explanations import bin_table, responses, sobol, traversal
from explaind.explanations.models import RankingModels
from explaind.explanations.types import (
    DoubleArray,
    Factor,
    FloatArray,
    ForestArrays,
    Prediction,
    RankingReference,
)


@dataclass
class LinearAutoencoder:
    """Latent d is pixel d: 0.5 + effect_d·z_d/8, alike in every channel. Records the batches it decodes."""

    effect: DoubleArray
    channels: int = 1
    decoded: list[int] = field(default_factory=list)

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        pixels = images.mean(axis=1).reshape(len(images), -1)
        mean = ((pixels - 0.5) * 8.0).astype(np.float32)
        return mean, np.full_like(mean, 0.1)

    def decode(self, codes: FloatArray) -> FloatArray:
        self.decoded.append(len(codes))
        pixels = (0.5 + codes * self.effect / 8.0).astype(np.float32)
        return np.repeat(pixels[:, None, None, :], self.channels, axis=1)


@dataclass
class CodeClassifier:
    """Logits computed from the codes that the pixels show: `rule` maps codes (B, D) to logits (B, K)."""

    rule: Callable[[DoubleArray], DoubleArray]

    def logits(self, images: FloatArray) -> FloatArray:
        codes = (images.mean(axis=1).reshape(len(images), -1).astype(np.float64) - 0.5) * 8.0
        return self.rule(codes).astype(np.float32)


def two_classes(score: NDArray[np.float64]) -> DoubleArray:
    """Log-odds (B,) of class 1 → logits (B, 2)."""
    return np.stack([-0.5 * score, 0.5 * score], axis=1)


@dataclass
class World:
    """A planted truth: models with codes of its images."""

    models: RankingModels
    autoencoder: LinearAutoencoder
    latents: int

    def image(self, code: list[float]) -> FloatArray:
        return self.autoencoder.decode(np.array([code], np.float32))[0]

    def prediction(self, image: FloatArray) -> Prediction:
        logits = self.models.classifier.logits(image[None])[0].astype(np.float64)
        chances = responses.probabilities(logits)
        top = int(np.argmax(logits))
        return Prediction(class_index=top, probability=float(chances[top]), probabilities=chances, logits=logits)

    def logits(self, codes: FloatArray) -> FloatArray:
        return traversal.logits_of_codes(self.models, codes)

    def factors(self) -> tuple[Factor, ...]:
        return tuple(Factor(dimensions=(d,), label=f"z{d}") for d in range(self.latents))

    def reference(self, codes: FloatArray, forest: ForestArrays | None = None) -> RankingReference:
        """What training computes, over reference images with these codes."""
        logits = self.logits(codes)
        bins = bin_table.build(codes, responses.probabilities(logits).astype(np.float32), logits)
        generated = traversal.global_responses(self.models, self.latents)
        effect = traversal.visible_effect(self.autoencoder, self.latents)
        kl = traversal.mean_kl(codes, np.full_like(codes, 0.1))
        return RankingReference(
            used=traversal.used(kl, effect),
            mean_kl=kl,
            visible_effect=effect,
            mean=codes.mean(axis=0, dtype=np.float64),
            deviation=codes.std(axis=0, dtype=np.float64),
            bin_counts=bins.counts,
            bin_probability=bins.probability,
            bin_logit=bins.log_odds,
            mean_probability=bins.mean_probability,
            mean_logit=bins.mean_log_odds,
            generated_probability=generated.probability,
            generated_logit=generated.log_odds,
            impurity=np.zeros(self.latents),
            permutation=np.zeros(self.latents),
            sobol_total=sobol.prior_total_effects(self.models, self.latents, seed=0).indices,
            forest=forest,
            forest_fidelity=1.0 if forest else 0.0,
        )


MakeWorld = Callable[..., World]


@pytest.fixture(scope="session")
def make_world() -> MakeWorld:
    """(log-odds of class 1 as a function of codes, or a rule giving all logits) → World."""

    def make(
        score: Callable[[DoubleArray], DoubleArray],
        latents: int,
        *,
        effect: list[float] | None = None,
        channels: int = 1,
        classes: int = 2,
    ) -> World:
        autoencoder = LinearAutoencoder(np.array(effect or [1.0] * latents), channels)
        rule = score if classes > 2 else lambda codes: two_classes(score(codes))
        return World(RankingModels(CodeClassifier(rule), autoencoder), autoencoder, latents)

    return make


@pytest.fixture(scope="session")
def grid() -> Callable[[int], FloatArray]:
    """D → the full-factorial codes over the 13 bin values, (13^D, D)."""

    def make(latents: int) -> FloatArray:
        axes = np.meshgrid(*[bin_table.BINS] * latents, indexing="ij")
        return np.stack([axis.ravel() for axis in axes], axis=1).astype(np.float32)

    return make
