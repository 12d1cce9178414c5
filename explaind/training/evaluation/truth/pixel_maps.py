"""Every way of marking pixels that is compared: our path mask first, then Captum's attributions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explaind.explanations import path_mask
from explaind.explanations.types import (
    BoolArray,
    DoubleArray,
    FloatArray,
    MorphReference,
    PathMask,
    PathMaskParameters,
    Prediction,
)
from explaind.training.evaluation.truth.attributions import METHODS, attribute
from explaind.training.evaluation.truth.white_box import WhiteBox

PATH_MASK = "path mask"
OTHERS = tuple(METHODS)

Pair = tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class PixelMaps:
    """masks: one an image. maps: signed (N, H, W) by method, PATH_MASK first."""

    masks: tuple[PathMask, ...]
    maps: Mapping[str, DoubleArray]

    def binary(self) -> BoolArray:
        """The path masks cut at one half, (N, H, W)."""
        return np.stack([mask.mask for mask in self.masks]) > 0.5

    def magnitudes(self, method: str) -> DoubleArray:
        return np.abs(self.maps[method])


def pixel_maps(
    box: WhiteBox,
    reference: MorphReference,
    images: FloatArray,
    predictions: Sequence[Prediction],
    *,
    pairs: Sequence[Pair] | None = None,
) -> PixelMaps:
    """images (N, C, H, W), and the box's own predictions of them. pairs: (self, other) of each; None: predicted and
    runner-up. All methods explain self; only the path mask is told the other."""
    pairs = pairs or [classes_of(prediction) for prediction in predictions]
    masks = path_masks(box, reference, images, predictions, pairs)
    maps = {PATH_MASK: np.array([mask.attribution for mask in masks], np.float64)}
    classes = [pair[0] for pair in pairs]
    return PixelMaps(masks, maps | {name: attribute(name, box.network, images, classes) for name in OTHERS})


def path_masks(
    box: WhiteBox,
    reference: MorphReference,
    images: FloatArray,
    predictions: Sequence[Prediction],
    pairs: Sequence[Pair],
    *,
    sparsity: float | None = None,
) -> tuple[PathMask, ...]:
    """By the FAST solver, as a service gives them; sparsity: what a pixel costs; None: what it costs there."""
    asked = zip(images, predictions, pairs, strict=True)
    return tuple(
        path_mask.explain(
            box.morphing,
            reference,
            None,
            image,
            PathMaskParameters(self_class=pair[0], other_class=pair[1], sparsity=sparsity),
            prediction=prediction,
        )
        for image, prediction, pair in asked
    )


def classes_of(prediction: Prediction) -> Pair:
    """Predicted class and runner-up."""
    order = np.argsort(-prediction.logits, kind="stable")
    return int(order[0]), int(order[1])
