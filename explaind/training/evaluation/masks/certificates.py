"""Certificates of the path masks, FAST beside REFERENCE on the same path, and wrongly classified images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from explaind.explanations import mask_on_path, path_mask
from explaind.explanations.budget import Budget
from explaind.explanations.mask_on_path import MaskOnPath
from explaind.explanations.morph_path import MorphPath
from explaind.explanations.path_mask_parameters import sparsity
from explaind.explanations.semantic_morphing import morph
from explaind.explanations.types import PathMask, PathMaskOutcome, PathMaskParameters, Solver
from explaind.training.evaluation.subject import Subject

HALF = 0.5


def mask_of(subject: Subject, index: int, other_class: int | None = None) -> PathMask:
    """Of evaluation image `index`, with default parameters."""
    return path_mask.explain(
        subject.morphing_models(),
        subject.morph_reference(),
        subject.reference.anomaly,
        subject.images[index],
        PathMaskParameters(other_class=other_class),
        prediction=subject.predictions[index],
    )


def certificates(masks: Sequence[PathMask]) -> dict[str, object]:
    """Outcomes of all; gaps, objective and area over those that converged, None where none did."""
    certain = [m for m in masks if m.outcome is PathMaskOutcome.CONVERGED]
    return {
        "images": len(masks),
        "outcomes": dict(Counter(m.outcome.value for m in masks)),
        "completeness_gap": _spread([m.completeness_gap for m in certain]),
        "stationarity_gap": _spread([m.stationarity_gap for m in certain]),
        "objective_median": _median([m.objective for m in certain]),
        "area_median": _median([float((m.mask > HALF).mean()) for m in certain]),
    }


def against_reference(subject: Subject, count: int) -> dict[str, object]:
    """Both solvers on the paths of the first `count` FAST morphs, the same ones; figures None where none is solved."""
    pairs = [_both(subject, index) for index in range(count)]
    pairs = [(fast, slow) for fast, slow in pairs if fast.solved and slow.solved]
    ratios = [fast.objective / slow.objective for fast, slow in pairs]
    overlaps = [overlap(fast, slow) for fast, slow in pairs]
    return {
        "images": len(pairs),
        "worst_ratio": min(ratios, default=None),
        "median_ratio": _median(ratios),
        "median_iou": _median(overlaps),
        "worst_iou": min(overlaps, default=None),
    }


def misclassified(masks: Sequence[PathMask]) -> dict[str, object]:
    """masks of wrongly classified images, asked why they are not of their true class."""
    changes = [m.probability_change for m in masks]
    return {
        "images": len(masks),
        "outcomes": dict(Counter(m.outcome.value for m in masks)),
        "share_with_half": float(np.mean([change >= HALF for change in changes])) if changes else None,
        "least_change": min(changes, default=None),
        "median_change": _median(changes),
    }


def overlap(fast: MaskOnPath, slow: MaskOnPath) -> float:
    """Intersection over union of the two masks; 1 where both are empty."""
    one, other = fast.applied > HALF, slow.applied > HALF
    union = np.logical_or(one, other).sum()
    return float(np.logical_and(one, other).sum() / union) if union else 1.0


def _both(subject: Subject, index: int) -> tuple[MaskOnPath, MaskOnPath]:
    models, budget = subject.morphing_models(), Budget()
    fast, reference = PathMaskParameters(), subject.morph_reference()
    prediction = subject.predictions[index]
    ends = morph(models, reference, subject.images[index], fast, prediction=prediction)
    path = MorphPath(models, ends, fast.interpolation, budget)
    points = path.points(np.linspace(0.0, 1.0, fast.step_count))
    cost = sparsity(fast, reference)
    first, second = (
        mask_on_path.solve(models, path, points, ends.self_class, solver, cost, budget)
        for solver in (Solver.FAST, Solver.REFERENCE)
    )
    return first, second


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    return {"median": float(np.median(values)), "worst": float(np.max(values))} if values else None


def _median(values: Sequence[float]) -> float | None:
    return float(np.median(values)) if values else None
