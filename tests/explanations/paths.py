"""Paths given as codes, without a morph, for tests of the mask alone."""

from __future__ import annotations

import numpy as np

from explaind.explanations.blur import Blur
from explaind.explanations.budget import Budget
from explaind.explanations.mask_objective import MaskObjective
from explaind.explanations.models import MorphingModels
from explaind.explanations.morph_path import MorphPath, PathPoints
from explaind.explanations.path_attribution import PathGradient
from explaind.explanations.path_steps import PathSteps
from explaind.explanations.types import Interpolation, Morph


class PixelDecoder:
    """Codes are the pixels themselves: LINEAR interpolation is then a straight line of images."""

    def __init__(self, height: int, width: int, channels: int = 1) -> None:
        self._shape = (channels, height, width)

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = images.reshape(len(images), -1)
        return mean, np.full_like(mean, 0.01)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        return codes.reshape(-1, *self._shape)


def ends(z_other: np.ndarray, z_self: np.ndarray, pair: tuple[int, int] = (0, 1)) -> Morph:
    return Morph(
        self_class=pair[0],
        other_class=pair[1],
        z_self=z_self.reshape(-1).astype(np.float64),
        z_other=z_other.reshape(-1).astype(np.float64),
        found=True,
        best_so_far=False,
        steps=1,
        entropy=0.0,
        latent_distance=1.0,
        reconstruction_agrees=True,
    )


def path_of(
    models: MorphingModels, morph: Morph, kind: Interpolation = Interpolation.LINEAR, count: int = 100
) -> tuple[MorphPath, PathPoints]:
    path = MorphPath(models, morph, kind, Budget())
    return path, path.points(np.linspace(0, 1, count))


def pixel_models(classifier: object, height: int, width: int, channels: int = 1) -> MorphingModels:
    return MorphingModels(classifier, classifier, PixelDecoder(height, width, channels), None)  # type: ignore[arg-type]


def gradient_of(
    models: MorphingModels, points: PathPoints, self_class: int, budget: Budget | None = None
) -> PathGradient:
    return PathGradient(models.classifier_gradient, self_class, points.logits.shape[1], budget or Budget())


def objective_of(
    models: MorphingModels,
    points: PathPoints,
    self_class: int,
    sparsity: float = 1.0,
    *,
    steps: PathSteps | None = None,
) -> MaskObjective:
    """steps: None: every one, each with a gradient of its own."""
    return MaskObjective(
        gradient_of(models, points, self_class),
        models.classifier,
        steps or PathSteps.every(points, self_class),
        self_class,
        Blur(*points.images.shape[-2:]),
        sparsity,
    )
