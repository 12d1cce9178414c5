"""The anomaly score against every kind of outlier, both detectors, beside a trivial control (DESIGN §3.2)."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from explaind.explanations import anomaly_score
from explaind.explanations.types import AnomalyBatch, AnomalyScoreParameters, Detector, DoubleArray, FloatArray
from explaind.training.evaluation.outliers import outlier_kinds
from explaind.training.evaluation.subject import Subject

LEVEL = 0.05


def evaluate_anomalies(subject: Subject) -> dict[str, object]:
    kinds = outlier_kinds(subject.recipe, subject.data, subject.images)
    result: dict[str, object] = {
        "level": LEVEL,
        "inside_images": len(subject.images),
        "fitted_on": list(subject.recipe.anomaly.outliers),
    }
    for detector in Detector:
        if detector is Detector.LOGISTIC_REGRESSION and subject.reference.anomaly.logistic is None:  # type: ignore[union-attr]
            continue
        inside = _score(subject, subject.images, detector)
        result[detector.value] = {
            "false_alarm_rate": float(np.mean(inside.anomalous)),
            "kinds": {name: _separation(inside, _score(subject, images, detector)) for name, images in kinds.items()},
        }
    control = _compressed_sizes(subject.images)
    result["control_compressed_size_auroc"] = {
        name: _two_sided(_auroc(control, _compressed_sizes(images))) for name, images in kinds.items()
    }
    return result


def _score(subject: Subject, images: FloatArray, detector: Detector) -> AnomalyBatch:
    if subject.reference.anomaly is None:
        raise ValueError("the bundle has no anomaly score")
    parameters = AnomalyScoreParameters(detector=detector, level=LEVEL)
    return anomaly_score.explain(subject.autoencoder, subject.reference.anomaly, images, parameters)


def _separation(inside: AnomalyBatch, outside: AnomalyBatch) -> dict[str, float]:
    """AUROC, average precision (outlier positive, base rate 1/2), FPR at 95 % TPR, share flagged at the level."""
    threshold = np.quantile(outside.scores, 0.05)
    return {
        "auroc": _auroc(inside.scores, outside.scores),
        "average_precision": float(average_precision_score(*_labelled(inside.scores, outside.scores))),
        "fpr_at_95_tpr": float(np.mean(inside.scores >= threshold)),
        "flagged": float(np.mean(outside.anomalous)),
        "median_p_value": float(np.median(outside.p_values)),
    }


def _auroc(inside: DoubleArray, outside: DoubleArray) -> float:
    return float(roc_auc_score(*_labelled(inside, outside)))


def _two_sided(auroc: float) -> float:
    """A control may separate in either direction."""
    return max(auroc, 1 - auroc)


def _labelled(inside: DoubleArray, outside: DoubleArray) -> tuple[NDArray[np.int64], DoubleArray]:
    return np.repeat([0, 1], [len(inside), len(outside)]), np.concatenate([inside, outside])


def _compressed_sizes(images: FloatArray) -> DoubleArray:
    """Bytes after deflate: what an explanation must be worth more than."""
    bytes_ = np.rint(images * 255).astype(np.uint8)
    return np.array([len(zlib.compress(image.tobytes(), 6)) for image in bytes_], dtype=np.float64)
