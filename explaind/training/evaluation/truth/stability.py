"""What a little noise on the image does to each explanation of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explaind.explanations import anomaly_score
from explaind.explanations.prediction import predict
from explaind.explanations.types import AnomalyBatch, AnomalyScoreParameters, DoubleArray, FloatArray
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth.map_measures import iou, rank_correlation
from explaind.training.evaluation.truth.pixel_maps import Pair, PixelMaps, classes_of, pixel_maps
from explaind.training.evaluation.truth.rankings_of import importances
from explaind.training.evaluation.truth.white_box import WhiteBox

DEVIATIONS = (0.01, 0.02, 0.05)


@dataclass(frozen=True, slots=True, eq=False)
class Noisy:
    """Of N images with Gaussian noise of `deviation`, beside the same without. same_class: share classed alike. overlap
    (N,): IoU of the path masks of the same two classes. correlation: Spearman of maps, rankings: of importances, by
    method, each the median. p_value_change: median |Δp|; flagged, flagged_before: share called anomalous at 0.05."""

    deviation: float
    same_class: float
    overlap: DoubleArray
    correlation: Mapping[str, float]
    rankings: Mapping[str, float]
    p_value_change: float
    flagged: float
    flagged_before: float


@dataclass(frozen=True, slots=True, eq=False)
class _Answers:
    classes: list[int]
    maps: PixelMaps
    rankings: Mapping[str, DoubleArray]
    anomalies: AnomalyBatch | None


def disturb(subject: Subject, box: WhiteBox, images: FloatArray, seed: int = 0) -> tuple[Noisy, ...]:
    """images (N, C, H, W) in [0, 1]; noise is cut off at 0 and 1. One result for each of DEVIATIONS."""
    pairs = [classes_of(prediction) for prediction in predict(box.morphing.classifier, images)]
    before = _answer(subject, box, images, pairs)
    noise = np.random.default_rng(seed).standard_normal(images.shape).astype(np.float32)
    return tuple(_beside(subject, box, images, noise * np.float32(d), d, pairs, before) for d in DEVIATIONS)


def _beside(
    subject: Subject,
    box: WhiteBox,
    images: FloatArray,
    noise: FloatArray,
    deviation: float,
    pairs: list[Pair],
    before: _Answers,
) -> Noisy:
    after = _answer(subject, box, np.clip(images + noise, 0, 1), pairs)
    change, flagged, flagged_before = _anomaly_change(before.anomalies, after.anomalies)
    return Noisy(
        deviation=deviation,
        same_class=float(np.mean(np.equal(before.classes, after.classes))),
        overlap=iou(before.maps.binary(), after.maps.binary()),
        correlation={
            name: float(np.median(rank_correlation(before.maps.magnitudes(name), after.maps.magnitudes(name))))
            for name in before.maps.maps
        },
        rankings={
            name: float(np.median(rank_correlation(values, after.rankings[name])))
            for name, values in before.rankings.items()
        },
        p_value_change=change,
        flagged=flagged,
        flagged_before=flagged_before,
    )


def _answer(subject: Subject, box: WhiteBox, images: FloatArray, pairs: list[Pair]) -> _Answers:
    predictions = predict(box.morphing.classifier, images)
    targets = [pair[0] for pair in pairs]
    ranked = importances(box.ranking, subject.ranking_reference(), images, predictions, targets)
    anomaly = subject.reference.anomaly
    return _Answers(
        classes=[prediction.class_index for prediction in predictions],
        maps=pixel_maps(box, subject.morph_reference(), images, predictions, pairs=pairs),
        rankings={method.value: values for method, values in ranked.items()},
        anomalies=None
        if anomaly is None
        else anomaly_score.explain(box.morphing.autoencoder, anomaly, images, AnomalyScoreParameters()),
    )


def _anomaly_change(before: AnomalyBatch | None, after: AnomalyBatch | None) -> tuple[float, float, float]:
    """Median |Δp|, share flagged after and before; nan without an anomaly score."""
    if before is None or after is None:
        return np.nan, np.nan, np.nan
    change = np.abs(after.p_values - before.p_values)
    return float(np.median(change)), float(np.mean(after.anomalous)), float(np.mean(before.anomalous))
