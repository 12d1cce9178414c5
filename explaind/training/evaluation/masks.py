"""Certificates of the path masks, FAST beside REFERENCE on the same path, and wrongly classified images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from explaind.explanations import mask_on_path, path_mask
from explaind.explanations.budget import Budget
from explaind.explanations.mask_on_path import MaskOnPath
from explaind.explanations.morph_path import MorphPath
from explaind.explanations.semantic_morphing import morph
from explaind.explanations.types import PathMask, PathMaskOutcome, PathMaskParameters, Solver
from explaind.training.evaluation.subject import Subject


def evaluate_masks(subject: Subject, count: int, reference_count: int) -> dict[str, object]:
    masks = [_mask(subject, index, PathMaskParameters()) for index in range(count)]
    certain = [m for m in masks if m.outcome is PathMaskOutcome.CONVERGED]
    return {
        "images": count,
        "outcomes": dict(Counter(m.outcome.value for m in masks)),
        "completeness_gap": _spread([m.completeness_gap for m in certain]),
        "stationarity_gap": _spread([m.stationarity_gap for m in certain]),
        "objective_median": float(np.median([m.objective for m in certain])),
        "area_median": float(np.median([float((m.mask > 0.5).mean()) for m in certain])),
        "against_reference": _against_reference(subject, reference_count),
        "misclassified": _misclassified(subject),
    }


def _mask(subject: Subject, index: int, parameters: PathMaskParameters) -> PathMask:
    return path_mask.explain(
        subject.morphing_models(),
        subject.morph_reference(),
        subject.reference.anomaly,
        subject.images[index],
        parameters,
        prediction=subject.predictions[index],
    )


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": float(np.median(values)), "worst": float(np.max(values))}


def _against_reference(subject: Subject, count: int) -> dict[str, object]:
    """Both solvers on the path of the FAST morph, the same one."""
    pairs = [_both(subject, index) for index in range(count)]
    pairs = [(fast, slow) for fast, slow in pairs if fast.solved and slow.solved]
    ours = np.array([fast.objective for fast, _ in pairs])
    theirs = np.array([slow.objective for _, slow in pairs])
    overlaps = [_iou(fast, slow) for fast, slow in pairs]
    return {
        "images": len(pairs),
        "worst_ratio": float((ours / theirs).min()),
        "median_ratio": float(np.median(ours / theirs)),
        "median_iou": float(np.median(overlaps)),
        "worst_iou": float(np.min(overlaps)),
    }


def _both(subject: Subject, index: int) -> tuple[MaskOnPath, MaskOnPath]:
    models, budget = subject.morphing_models(), Budget()
    fast, slow = PathMaskParameters(), PathMaskParameters(solver=Solver.REFERENCE)
    prediction = subject.predictions[index]
    ends = morph(models, subject.morph_reference(), subject.images[index], fast, prediction=prediction)
    path = MorphPath(models, ends, fast.interpolation, budget)
    points = path.points(np.linspace(0.0, 1.0, fast.step_count))
    first, second = (
        mask_on_path.solve(models.classifier_gradient, path, points, ends.self_class, p, budget) for p in (fast, slow)
    )
    return first, second


def _iou(fast: MaskOnPath, slow: MaskOnPath) -> float:
    one, other = fast.applied > 0.5, slow.applied > 0.5
    union = np.logical_or(one, other).sum()
    return float(np.logical_and(one, other).sum() / union) if union else 1.0


def _misclassified(subject: Subject) -> dict[str, object]:
    """Every wrongly classified evaluation image, asked why it is not its true class."""
    labels = subject.splits.evaluation.labels
    wrong = np.flatnonzero(subject.predicted != labels)
    masks = [_mask(subject, int(i), PathMaskParameters(other_class=int(labels[i]))) for i in wrong]
    changes = [m.probability_change for m in masks]
    return {
        "images": len(wrong),
        "outcomes": dict(Counter(m.outcome.value for m in masks)),
        "share_with_half": float(np.mean([change >= 0.5 for change in changes])) if changes else 1.0,
        "least_change": float(min(changes)) if changes else 1.0,
        "median_change": float(np.median(changes)) if changes else 1.0,
    }
