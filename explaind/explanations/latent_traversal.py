"""What an image becomes, and what the classifier says of it, as single latents are moved ([AN]; DESIGN §2)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from explaind.errors import ParameterOutOfRange
from explaind.explanations import responses, traversal
from explaind.explanations.answer_size import images_within
from explaind.explanations.budget import Budget
from explaind.explanations.latent_types import Hold, LatentTraversals, Traversal, TraversalParameters
from explaind.explanations.models import RankingModels
from explaind.explanations.types import DoubleArray, Factor, FloatArray, Prediction, RankingReference

REACH = 10.0
"""No image's code lies this far out; beyond it a decoder's pictures mean nothing."""
MAX_STEPS = 100
MAX_IMAGES = 1024
"""Decoded images in one answer: more would hold up others of the fast class. 1,000 digits take 30 ms."""
MAX_BYTES = 32 * 1024 * 1024
"""Of their float pixels: half of what a client takes in one message."""


def checked_dimensions(
    parameters: TraversalParameters, reference: RankingReference, image_shape: tuple[int, ...]
) -> tuple[int, ...]:
    """The latents to move: those named, or every used one.

    Raises ParameterOutOfRange for a latent that there is not or that is named twice, for a range or a number of steps
    that cannot be, and where the answer would hold more images than one message takes.
    """
    count = len(reference.used)
    dimensions = parameters.dimensions or tuple(int(d) for d in np.flatnonzero(reference.used))
    for dimension in dimensions:
        _require(0 <= dimension < count, "dimension", f"is {dimension}; it must be a latent from 0 to {count - 1}")
    _require(len(set(dimensions)) == len(dimensions), "dimension", "names a latent twice; name each once")
    _check_range(parameters)
    most = min(MAX_IMAGES, images_within(MAX_BYTES, image_shape))
    wanted = len(dimensions) * parameters.steps
    _require(wanted <= most, "steps", f"asks for {wanted} images; one answer holds {most}: name fewer latents or steps")
    return dimensions


def _check_range(parameters: TraversalParameters) -> None:
    low, high, steps = parameters.low, parameters.high, parameters.steps
    _require(2 <= steps <= MAX_STEPS, "steps", f"is {steps}; it must be from 2 to {MAX_STEPS}")
    # Written so that NaN fails too.
    _require(-REACH <= low <= REACH, "low", f"is {low:g}; it must be from {-REACH:g} to {REACH:g}")
    _require(low < high <= REACH, "high", f"is {high:g}; it must be above low ({low:g}) and at most {REACH:g}")


def _require(holds: bool, field: str, what: str) -> None:
    if not holds:
        raise ParameterOutOfRange(f"{field} {what}.", field=field)


@dataclass(frozen=True, slots=True)
class _Decoded:
    """images (B, C, H, W) and logits (B, K) of decoded codes."""

    images: FloatArray
    logits: FloatArray


def traverse(
    models: RankingModels,
    reference: RankingReference,
    factors: Sequence[Factor],
    image: FloatArray,
    parameters: TraversalParameters,
    *,
    prediction: Prediction,
    budget: Budget | None = None,
) -> LatentTraversals:
    """Move each latent asked for over `steps` equally spaced values from low to high, one at a time.

    image: float32 (C, H, W) in [0, 1]; the others stay at its code μ (ENCODED) or at 0 (ZERO). The response is the
    probability of the image's predicted class. A latent is moved by itself also where its factor has several. Raises
    ParameterOutOfRange as `checked_dimensions`, Cancelled as the budget says.
    """
    dimensions = checked_dimensions(parameters, reference, image.shape)
    mean = models.autoencoder.encode(image[None])[0][0]
    values = np.linspace(parameters.low, parameters.high, parameters.steps)
    center = mean if parameters.hold is Hold.ENCODED else np.zeros_like(mean)
    table = traversal.codes(center, dimensions, values)
    decoded = _decode(models, np.concatenate([mean[None], table.reshape(-1, len(mean))]), budget or Budget())
    rest = _Decoded(decoded.images[1:], decoded.logits[1:])
    return LatentTraversals(
        traversals=tuple(_traversals(dimensions, factors, mean, values, rest, prediction.class_index)),
        reconstruction=decoded.images[0],
        reconstruction_agrees=int(np.argmax(decoded.logits[0])) == prediction.class_index,
    )


def _traversals(
    dimensions: tuple[int, ...],
    factors: Sequence[Factor],
    mean: FloatArray,
    values: DoubleArray,
    decoded: _Decoded,
    target: int,
) -> Iterator[Traversal]:
    """decoded: of every dimension at every value (S,), dimension by dimension."""
    owners = {dimension: factor for factor in factors for dimension in factor.dimensions}
    chances = responses.probabilities(decoded.logits)[:, target].astype(np.float32)
    for row, dimension in enumerate(dimensions):
        part = slice(row * len(values), (row + 1) * len(values))
        yield Traversal(
            factor=owners[dimension],
            dimension=dimension,
            values=values.astype(np.float32),
            images=decoded.images[part],
            response=chances[part],
            encoded_value=float(mean[dimension]),
        )


def _decode(models: RankingModels, codes: FloatArray, budget: Budget) -> _Decoded:
    """codes (B, D), at most 512 a call; ends between calls when cancelled."""
    images, logits = [], []
    for start in range(0, len(codes), traversal.BATCH):
        budget.raise_if_cancelled()
        images.append(models.autoencoder.decode(codes[start : start + traversal.BATCH]))
        logits.append(models.classifier.logits(images[-1]))
    return _Decoded(np.concatenate(images), np.concatenate(logits))
