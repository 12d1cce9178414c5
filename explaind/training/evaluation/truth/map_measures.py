"""How well a map of pixels agrees with known pixels, or with another map. All arrays (N, H, W), a figure an image."""

from __future__ import annotations

import numpy as np

from explaind.errors import ShapeMismatch
from explaind.explanations.structural_similarity import ssim
from explaind.explanations.types import BoolArray, DoubleArray

__all__ = ["auroc", "iou", "rank_correlation", "ranks", "similarity", "strongest"]


def iou(first: BoolArray, second: BoolArray) -> DoubleArray:
    """Pixels in both over pixels in either, (N,); 1 where both are empty."""
    _require_alike(first, second)
    both = np.logical_and(first, second).sum(axis=(1, 2))
    either = np.logical_or(first, second).sum(axis=(1, 2))
    return np.where(either > 0, both / np.maximum(either, 1), 1.0)


def strongest(maps: DoubleArray, areas: np.ndarray[tuple[int], np.dtype[np.int64]]) -> BoolArray:
    """Each map's `areas[n]` largest values; among equals the first in reading order."""
    flat = maps.reshape(len(maps), -1)
    place = np.argsort(np.argsort(-flat, axis=1, kind="stable"), axis=1)
    return np.asarray((place < areas[:, None]).reshape(maps.shape))


def auroc(maps: DoubleArray, known: BoolArray) -> DoubleArray:
    """Probability that a known pixel has a larger value than another one, (N,); equals count half.

    nan where no pixel is known, or every one.
    """
    _require_alike(maps, known)
    inside = known.reshape(len(known), -1)
    positive, negative = inside.sum(axis=1), (~inside).sum(axis=1)
    total = (ranks(maps.reshape(len(maps), -1)) * inside).sum(axis=1)
    wins = total - positive * (positive + 1) / 2
    return np.where(positive * negative > 0, wins / np.maximum(positive * negative, 1), np.nan)


def rank_correlation(first: DoubleArray, second: DoubleArray) -> DoubleArray:
    """Spearman's, of the values of each row (N, …) with those of the other, (N,); 0 where one of them is constant."""
    _require_alike(first, second)
    a, b = (_standard(ranks(values.reshape(len(values), -1))) for values in (first, second))
    return np.asarray((a * b).mean(axis=1))


def ranks(rows: DoubleArray) -> DoubleArray:
    """(N, M) → 1 … M by rising value, equals sharing their mean rank."""
    return np.array([_ranks(row) for row in rows]).reshape(rows.shape)


def similarity(first: DoubleArray, second: DoubleArray) -> DoubleArray:
    """SSIM of the magnitudes, each scaled to a largest value of 1, (N,). For maps of 11 × 11 pixels and more."""
    _require_alike(first, second)
    scaled = (
        np.abs(maps) / np.maximum(np.abs(maps).max(axis=(1, 2), keepdims=True), 1e-12) for maps in (first, second)
    )
    a, b = (maps[:, None] for maps in scaled)
    return ssim(a, b)


def _ranks(row: DoubleArray) -> DoubleArray:
    _, members, counts = np.unique(row, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[members])


def _standard(rows: DoubleArray) -> DoubleArray:
    centered = rows - rows.mean(axis=1, keepdims=True)
    deviation = centered.std(axis=1, keepdims=True)
    return np.where(deviation > 0, centered / np.where(deviation > 0, deviation, 1.0), 0.0)


def _require_alike(first: DoubleArray | BoolArray, second: DoubleArray | BoolArray) -> None:
    if first.shape != second.shape:
        raise ShapeMismatch(f"Maps of shapes {first.shape} and {second.shape} cannot be compared.", field="maps")
