"""What a bundle must reach, as data: a figure's place in the evaluation and its bound."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {"≥": operator.ge, "≤": operator.le}


@dataclass(frozen=True, slots=True)
class Bar:
    """path: keys into the evaluation, dotted."""

    title: str
    path: str
    comparison: str
    bound: float

    def judge(self, evaluation: Mapping[str, Any]) -> dict[str, object] | None:
        """value, bound and verdict; None where the figure was not measured in this run."""
        value: Any = evaluation
        for key in self.path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        if not isinstance(value, int | float):
            return None
        passed = _COMPARISONS[self.comparison](value, self.bound)
        return {"title": self.title, "value": value, "bar": f"{self.comparison} {self.bound:g}", "passed": passed}


_KINDS = "anomaly.mahalanobis.kinds"
BARS = (
    Bar("classifier test accuracy", "classification.accuracy", "≥", 0.99),
    Bar("agreement after reconstruction", "classification.agreement_after_reconstruction.morphing", "≥", 0.97),
    Bar("judge test accuracy", "morphing.judge_accuracy", "≥", 0.99),
    Bar("morph failure rate", "morphing.fast.failure_rate", "≤", 0.01),
    Bar("judge agrees with the morph", "morphing.fast.judge_agreement", "≥", 0.9),
    Bar("distance FAST / REFERENCE (medians)", "morphing.against_reference.distance_ratio", "≤", 1.0),
    Bar("worst completeness gap", "path_mask.completeness_gap.worst", "≤", 0.01),
    Bar("worst objective FAST / REFERENCE", "path_mask.against_reference.worst_ratio", "≥", 0.995),
    Bar("misclassified digits with T of 0.5 or more", "path_mask.misclassified.share_with_half", "≥", 0.9),
    Bar("AUROC, FashionMNIST", f"{_KINDS}.fashion_mnist.auroc", "≥", 0.99),
    Bar("AUROC, letters", f"{_KINDS}.letters.auroc", "≥", 0.99),
    Bar("AUROC, noise", f"{_KINDS}.noise.auroc", "≥", 0.99),
    Bar("AUROC, flat", f"{_KINDS}.flat.auroc", "≥", 0.99),
    Bar("AUROC, blurred", f"{_KINDS}.blurred.auroc", "≥", 0.98),
    Bar("AUROC, rotated by 90°", f"{_KINDS}.rotated_90.auroc", "≥", 0.90),
    Bar("AUROC, half contrast", f"{_KINDS}.half_contrast.auroc", "≥", 0.90),
    Bar("false alarms at 0.05, least", "anomaly.mahalanobis.false_alarm_rate", "≥", 0.04),
    Bar("false alarms at 0.05, most", "anomaly.mahalanobis.false_alarm_rate", "≤", 0.06),
    Bar("backends: same class", "backends.worst.same_class", "≥", 1.0),
    Bar("backends: same top-5 latents", "backends.worst.same_top_5", "≥", 1.0),
    Bar("backends: p-value difference", "backends.worst.p_value_difference", "≤", 1e-3),
    # Not the worst of them, which stands beside it: the ends of a few morphs differ between backends, presumably from
    # kinks of ReLUs on the way, and one pixel of a small mask is already more than 1 %.
    Bar("backends: mask IoU, 5th percentile", "backends.worst.mask_iou_5th_percentile", "≥", 0.99),
)


def judge_all(evaluation: Mapping[str, Any]) -> list[dict[str, object]]:
    return [verdict for bar in BARS if (verdict := bar.judge(evaluation)) is not None]
