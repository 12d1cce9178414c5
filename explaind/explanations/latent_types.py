"""Parameters and results of comparing and traversing latents; like `types`, frozen, arrays read and never written.

Shapes: C×H×W image, S values of a traversal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from explaind.explanations.types import Factor, FloatArray


class Hold(StrEnum):
    """Where the latents that a traversal does not move stand: at the image's code, or at 0."""

    ENCODED = "encoded"
    ZERO = "zero"


@dataclass(frozen=True, slots=True, kw_only=True)
class TraversalParameters:
    """latent_space "": the bundle's ranking space. dimensions (): every used latent, else each once, unused ones too.
    steps (2–100) values from low to high, −10 ≤ low < high ≤ 10, in the latents' own units."""

    latent_space: str = ""
    dimensions: tuple[int, ...] = ()
    low: float = -3.0
    high: float = 3.0
    steps: int = 10
    hold: Hold = Hold.ENCODED


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentDifference:
    """values_a, values_b: one a dimension of the factor. z_score: positive where the second image has more."""

    factor: Factor
    values_a: FloatArray
    values_b: FloatArray
    z_score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentComparison:
    """differences: falling |z_score|. distance: Euclidean, standardised. same_p_value: the chance that two random
    images lie as near each other."""

    differences: tuple[LatentDifference, ...]
    distance: float
    same_p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traversal:
    """`dimension`, of `factor`, at values (S,), all else held: images (S, C, H, W), response (S,) the probability of
    the predicted class. encoded_value: the image's own."""

    factor: Factor
    dimension: int
    values: FloatArray
    images: FloatArray
    response: FloatArray
    encoded_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LatentTraversals:
    """reconstruction (C, H, W): the image as its code decodes. reconstruction_agrees: classified as the image is."""

    traversals: tuple[Traversal, ...]
    reconstruction: FloatArray
    reconstruction_agrees: bool
