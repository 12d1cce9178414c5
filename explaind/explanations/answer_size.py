"""How many images one answer holds: more would be computed for a caller who cannot take them."""

from __future__ import annotations

import math

import numpy as np

from explaind.errors import ParameterOutOfRange
from explaind.explanations.traversal import STEPS
from explaind.explanations.types import BoolArray, Factor, LatentRankingParameters, PathMaskParameters

MAX_BYTES = 60 * 1024 * 1024
"""Of an answer's float pixels: a client takes 64 MiB in one message, with what else was asked for."""


def images_within(size: int, image_shape: tuple[int, ...]) -> int:
    """How many float32 images (C, H, W) fit into `size` bytes."""
    return size // (4 * math.prod(image_shape))


def check_path(parameters: PathMaskParameters, image_shape: tuple[int, ...]) -> int:
    """How many images of a path the answer will hold. Raises ParameterOutOfRange where one answer cannot."""
    if not parameters.include_path:
        return 0
    most = images_within(MAX_BYTES, image_shape)
    if parameters.step_count > most:
        raise ParameterOutOfRange(
            f"path_mask.step_count is {parameters.step_count}; with include_path one answer holds {most} images of "
            "this model: name fewer steps, or do without the path.",
            field="path_mask.step_count",
        )
    return parameters.step_count


def check_traversals(
    parameters: LatentRankingParameters,
    factors: tuple[Factor, ...],
    used: BoolArray,
    image_shape: tuple[int, ...],
    *,
    others: int = 0,
) -> None:
    """used (D,): the latents that are ranked. others: images that the answer holds besides.

    Raises ParameterOutOfRange where one answer cannot hold a traversal of each latent asked for.
    """
    if not parameters.include_traversals:
        return
    ranked = sum(bool(np.any(used[list(factor.dimensions)])) for factor in factors)
    wanted = min(parameters.top_k or ranked, ranked)
    most = max(0, images_within(MAX_BYTES, image_shape) - others) // STEPS
    if wanted > most:
        beside = f" beside a path of {others} images" if others else ""
        raise ParameterOutOfRange(
            f"latent_ranking.include_traversals asks for {wanted} strips of {STEPS} images; one answer holds {most} of "
            f"this model{beside}: name a smaller top_k, or use TraverseLatents.",
            field="latent_ranking.top_k",
        )
