"""The classifier's answer, from logits alone: softmax in float64 so that tails keep their digits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.models import Classifier
from explaind.explanations.types import DoubleArray, FloatArray, Prediction


def predict(classifier: Classifier, images: FloatArray) -> tuple[Prediction, ...]:
    """images: float32 (B, C, H, W) in [0, 1] → one Prediction an image."""
    logits = classifier.logits(np.ascontiguousarray(images, dtype=np.float32)).astype(np.float64)
    return tuple(_prediction(row, chances) for row, chances in zip(logits, softmax(logits), strict=True))


def softmax(logits: NDArray[np.floating]) -> DoubleArray:
    """logits (..., K) → probabilities (..., K), float64; no overflow for any finite logits."""
    wide = logits.astype(np.float64, copy=False)
    raised = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))


def top_two(scores: NDArray[np.floating]) -> NDArray[np.intp]:
    """scores (..., K) → indices (..., 2) of the two highest, the highest first; ties go to the lower index."""
    order: NDArray[np.intp] = (-scores).argsort(axis=-1, kind="stable")
    return order[..., :2]


def _prediction(logits: DoubleArray, probabilities: DoubleArray) -> Prediction:
    index = int(logits.argmax())
    return Prediction(
        class_index=index, probability=float(probabilities[index]), probabilities=probabilities, logits=logits
    )
