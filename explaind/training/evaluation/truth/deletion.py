"""Deletion along the manifold path: pixels go over from the image to its counterpart in an attribution's order.

Blackened pixels make images that no classifier has seen. Here a pixel that is taken away gets the value that it has
in the other image, the end of the morph: the first and the last picture are decoded ones, what lies between is a blend
of the two. The sooner p_self falls, the better the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from explaind.errors import ShapeMismatch
from explaind.explanations.models import Classifier
from explaind.explanations.prediction import predict, softmax
from explaind.explanations.types import DoubleArray, FloatArray, PathMask, PathMaskOutcome
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth.attributions import attribute
from explaind.training.evaluation.truth.pixel_maps import OTHERS, PATH_MASK, classes_of, path_masks
from explaind.training.evaluation.truth.white_box import WhiteBox

RANDOM, DIFFERENCE = "random order", "size of the change"
METHODS = (PATH_MASK, *OTHERS, DIFFERENCE, RANDOM)
SHARES: DoubleArray = np.concatenate([np.arange(0, 0.2, 0.01), np.arange(0.2, 0.5, 0.03), np.linspace(0.5, 1, 6)])
"""Shares of the pixels that have gone over; closer where most of the change is."""


@dataclass(frozen=True, slots=True, eq=False)
class Deletion:
    """curves (N, S): p_self at each of SHARES, by method; areas (N,): under them, in [0, 1]. images: how many of those
    asked for have a morph, and so a curve. own, other (N, C, H, W): the two ends."""

    curves: Mapping[str, DoubleArray]
    areas: Mapping[str, DoubleArray]
    images: int
    own: FloatArray
    other: FloatArray

    def best(self) -> str:
        return min(self.areas, key=lambda name: float(np.mean(self.areas[name])))


def delete(subject: Subject, box: WhiteBox, images: FloatArray, seed: int = 0) -> Deletion:
    """images (N, C, H, W). The attributions are of the decoded image, from which the pixels go."""
    predictions = predict(box.morphing.classifier, images)
    pairs = [classes_of(prediction) for prediction in predictions]
    asked = path_masks(box, subject.morph_reference(), images, predictions, pairs)
    masks = [mask for mask in asked if mask.outcome is not PathMaskOutcome.NO_MORPH_FOUND]
    own, other = _ends(masks, images.shape[1:])
    explained = [mask.self_class for mask in masks]
    orders = dict(_other_orders(box, own, explained))
    orders[PATH_MASK] = np.abs(np.array([mask.attribution for mask in masks], np.float64)).reshape(-1, *own.shape[2:])
    orders[DIFFERENCE] = np.abs(other - own).sum(axis=1).astype(np.float64)
    orders[RANDOM] = np.random.default_rng(seed).random((len(own), *own.shape[2:]))
    curves = {name: deletion_curves(box.morphing.classifier, own, other, explained, orders[name]) for name in METHODS}
    areas = {name: area_under(curve) for name, curve in curves.items()}
    return Deletion(curves, areas, len(masks), own, other)


def deletion_curves(
    classifier: Classifier, own: FloatArray, other: FloatArray, classes: Sequence[int], order: DoubleArray
) -> DoubleArray:
    """own, other (N, C, H, W); classes: self of each; order (N, H, W): the largest goes first, among equals the first
    in reading order → p_self (N, S). Raises ShapeMismatch where they do not belong together."""
    if own.shape != other.shape or order.shape != (len(own), *own.shape[2:]) or len(classes) != len(own):
        raise ShapeMismatch(
            f"Ends {own.shape} and {other.shape}, an order {order.shape} and {len(classes)} classes do not match.",
            field="order",
        )
    curves = [_curve(classifier, *one) for one in zip(own, other, classes, order, strict=True)]
    return np.array(curves).reshape(len(own), len(SHARES))


def _curve(
    classifier: Classifier, own: FloatArray, other: FloatArray, explained: int, order: DoubleArray
) -> DoubleArray:
    place = np.argsort(np.argsort(-order.reshape(-1), kind="stable")).reshape(order.shape)
    gone = place[None] < np.rint(SHARES * order.size)[:, None, None]
    blends = np.where(gone[:, None], other[None], own[None]).astype(np.float32)
    return np.asarray(softmax(classifier.logits(blends))[:, explained])


def area_under(curves: DoubleArray) -> DoubleArray:
    """(N, S) → (N,): the mean of p_self over the shares, by trapezes."""
    return np.asarray(((curves[:, 1:] + curves[:, :-1]) / 2 * np.diff(SHARES)).sum(axis=1))


def _ends(masks: Sequence[PathMask], shape: tuple[int, ...]) -> tuple[FloatArray, FloatArray]:
    """The decoded image and its counterpart, (N, C, H, W) each."""
    own = [mask.reconstruction for mask in masks]
    other = [mask.other_image for mask in masks]
    return np.array(own, np.float32).reshape(-1, *shape), np.array(other, np.float32).reshape(-1, *shape)


def _other_orders(box: WhiteBox, own: FloatArray, classes: Sequence[int]) -> Mapping[str, DoubleArray]:
    return {name: np.abs(attribute(name, box.network, own, list(classes))) for name in OTHERS}
