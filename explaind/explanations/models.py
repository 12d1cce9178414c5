"""What an explanation needs of a model, as Protocols. The backends make them real; tests write them in NumPy.

All arrays are float32 and C-contiguous. B is the batch, C×H×W the image, K the classes, D the latents of a
space. Implementations raise `BackendUnavailable` when they fail, never a foreign exception.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


class Classifier(Protocol):
    """From images to logits."""

    def logits(self, images: FloatArray) -> FloatArray:
        """images (B, C, H, W) in [0, 1] → logits (B, K)."""
        ...


class ClassifierGradient(Protocol):
    """What raises weighted probabilities, pixel by pixel."""

    def probability_gradient(self, images: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W), weights (B, K) → gradient (B, C, H, W) of Σ_k w_k·p_k(x), probabilities (B, K)."""
        ...


class Encoder(Protocol):
    """From images to codes."""

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        """images (B, C, H, W) → mean μ(x) and deviation σ(x), each (B, D)."""
        ...


class Decoder(Protocol):
    """From codes to images."""

    def decode(self, codes: FloatArray) -> FloatArray:
        """codes (B, D) → images (B, C, H, W) in [0, 1]."""
        ...


class Autoencoder(Encoder, Decoder, Protocol):
    """A VAE: both directions."""


class MorphGradient(Protocol):
    """What raises weighted logits of a decoded image, latent by latent."""

    def logit_gradient(self, codes: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """codes (B, D), weights (B, K) → gradient (B, D) of Σ_k w_k·l_k(dec(z)), logits (B, K) of dec(z)."""
        ...


class Measured(NamedTuple):
    """What a classifier and an autoencoder make of B images, and how far the reconstructions are from them.

    logits (B, K); mean, deviation (B, D): the codes; reconstructions (B, C, H, W); statistics (B, S): float64, named by
    `measurement.STATISTICS`.
    """

    logits: FloatArray
    mean: FloatArray
    deviation: FloatArray
    reconstructions: FloatArray
    statistics: NDArray[np.float64]


class Scorer(Protocol):
    """All that a prediction and an anomaly score ask of the models, in one call."""

    def measure(self, images: FloatArray) -> Measured:
        """images (B, C, H, W) in [0, 1]."""
        ...


@dataclass(frozen=True, slots=True)
class RankingModels:
    """What a latent ranking asks: a classifier and the autoencoder of one latent space."""

    classifier: Classifier
    autoencoder: Autoencoder


@dataclass(frozen=True, slots=True)
class MorphingModels:
    """What a morph and a path mask ask: gradients too. scorer: of the same autoencoder, where there is one."""

    classifier: Classifier
    classifier_gradient: ClassifierGradient
    autoencoder: Autoencoder
    morph_gradient: MorphGradient
    scorer: Scorer | None = None
