"""A sanity check: as the classifier's layers lose their meaning, from the top down, explanations must change.

An explanation that stays the same shows edges of the image, not reasons of the classifier. Each network is asked why
it says what it says; a path mask of a network that has no morph near the image is empty, which is a change too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explaind.backends import weights as stored_weights
from explaind.explanations.prediction import predict
from explaind.explanations.structural_similarity import TAPS
from explaind.explanations.types import BoolArray, DoubleArray, FloatArray, PathMaskOutcome
from explaind.training.datasets import as_floats
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth.map_measures import iou, rank_correlation, similarity, strongest
from explaind.training.evaluation.truth.pixel_maps import PATH_MASK, PixelMaps, classes_of, pixel_maps
from explaind.training.evaluation.truth.rankings_of import importances, refitted
from explaind.training.evaluation.truth.white_box import WhiteBox, classifier_layers, open_white_box, randomised

TOP = 0.1
"""Share of the pixels by which other maps are compared with IoU; a path mask is compared as it is served."""
REFIT_IMAGES = 3000


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Likeness to the explanations of the trained classifier, the mean over images. layers: how many are random, from
    the top. Of maps, by method: signed, correlation (Spearman of values and of magnitudes), similarity (SSIM), overlap
    (IoU). rankings: Spearman of the latents' magnitudes by method.
    agreement: share of images classed alike; explained: share with a path mask."""

    layers: int
    signed: Mapping[str, float]
    correlation: Mapping[str, float]
    similarity: Mapping[str, float]
    overlap: Mapping[str, float]
    rankings: Mapping[str, float]
    agreement: float
    explained: float


@dataclass(frozen=True, slots=True, eq=False)
class _Explained:
    classes: list[int]
    maps: PixelMaps
    rankings: Mapping[str, DoubleArray]


def randomise(subject: Subject, images: FloatArray, seed: int = 0) -> tuple[tuple[Stage, ...], tuple[PixelMaps, ...]]:
    """images (N, C, H, W): explained by the trained classifier, by one with its top layer random, with the top two …
    → the stages, from 0 random layers to all, and each stage's maps."""
    weights = stored_weights.read(subject.folder)
    layers = classifier_layers(weights)
    cascade = [randomised(weights, layers[:count], seed) for count in range(len(layers) + 1)]
    explained = [_explain(subject, open_white_box(subject, one), images, seed) for one in cascade]
    stages = tuple(_compare(count, explained[0], one) for count, one in enumerate(explained))
    return stages, tuple(one.maps for one in explained)


def _explain(subject: Subject, box: WhiteBox, images: FloatArray, seed: int) -> _Explained:
    predictions = predict(box.morphing.classifier, images)
    classes = [classes_of(prediction)[0] for prediction in predictions]
    train = subject.splits.train
    rows = np.random.default_rng(seed).permutation(len(train))[:REFIT_IMAGES]  # a data set may be sorted by class
    fitting = as_floats(train.images[np.sort(rows)])
    reference = refitted(box.ranking, subject.ranking_reference(), fitting, subject.recipe.reference, seed)
    ranked = importances(box.ranking, reference, images, predictions, classes)
    return _Explained(
        classes=classes,
        maps=pixel_maps(box, subject.morph_reference(), images, predictions),
        rankings={method.value: values for method, values in ranked.items()},
    )


def _compare(layers: int, trained: _Explained, other: _Explained) -> Stage:
    methods = tuple(trained.maps.maps)
    pairs = {name: (trained.maps.magnitudes(name), other.maps.magnitudes(name)) for name in methods}
    large = min(trained.maps.maps[PATH_MASK].shape[1:]) >= TAPS
    return Stage(
        layers=layers,
        signed={name: _mean(rank_correlation(trained.maps.maps[name], other.maps.maps[name])) for name in methods},
        correlation={name: _mean(rank_correlation(*pair)) for name, pair in pairs.items()},
        similarity={name: _mean(similarity(*pair)) for name, pair in pairs.items()} if large else {},
        overlap={name: _mean(iou(_pixels(trained.maps, name), _pixels(other.maps, name))) for name in methods},
        rankings={
            name: _mean(rank_correlation(values, other.rankings[name])) for name, values in trained.rankings.items()
        },
        agreement=_mean(np.equal(trained.classes, other.classes).astype(np.float64)),
        explained=float(np.mean([m.outcome is not PathMaskOutcome.NO_MORPH_FOUND for m in other.maps.masks])),
    )


def _pixels(maps: PixelMaps, method: str) -> BoolArray:
    if method == PATH_MASK:
        return maps.binary()
    magnitudes = maps.magnitudes(method)
    area = max(1, round(TOP * magnitudes[0].size))
    return strongest(magnitudes, np.full(len(magnitudes), area))


def _mean(values: DoubleArray) -> float:
    return float(np.mean(values))
