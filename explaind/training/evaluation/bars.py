"""What a bundle must reach, as data: a figure's place in the evaluation and its bound."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from explaind.training.evaluation.lookup import figure_at

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {"≥": operator.ge, "≤": operator.le, ">": operator.gt}


@dataclass(frozen=True, slots=True)
class Bar:
    """path: keys into the evaluation, dotted."""

    title: str
    path: str
    comparison: str
    bound: float

    def judge(self, evaluation: Mapping[str, Any]) -> dict[str, object] | None:
        """value, bound and verdict; None where the figure was not measured in this run."""
        value = figure_at(evaluation, self.path)
        if not isinstance(value, int | float):
            return None
        passed = _COMPARISONS[self.comparison](value, self.bound)
        return {"title": self.title, "value": value, "bar": f"{self.comparison} {self.bound:g}", "passed": passed}


def _backends() -> tuple[Bar, ...]:
    return (
        Bar("backends: same class", "backends.worst.same_class", "≥", 1.0),
        Bar("backends: same top-5 latents", "backends.worst.same_top_5", "≥", 1.0),
        Bar("backends: p-value difference", "backends.worst.p_value_difference", "≤", 1e-3),
        # Not the worst of them, which stands beside it: the ends of a few morphs differ between backends, from
        # kinks of ReLUs on the way (see the README), and one pixel of a small mask is already more than 1 %.
        Bar("backends: mask IoU, 5th percentile", "backends.worst.mask_iou_5th_percentile", "≥", 0.99),
    )


def _morphs(failures: float, judged: float) -> tuple[Bar, ...]:
    return (
        Bar("morph failure rate", "morphing.fast.failure_rate", "≤", failures),
        Bar("second classifier agrees with the morph", "morphing.fast.judge_agreement", "≥", judged),
        Bar("morphs on the manifold (p ≥ 0.01)", "morphing.fast.natural_p_value_share", "≥", 0.9),
        Bar("distance FAST / REFERENCE (medians)", "morphing.against_reference.distance_ratio", "≤", 1.0),
    )


def _auroc(title: str, kind: str, bound: float) -> Bar:
    return Bar(f"AUROC, {title}", f"anomaly.mahalanobis.kinds.{kind}.auroc", "≥", bound)


_FALSE_ALARMS = "anomaly.mahalanobis.false_alarm"
_CALIBRATED = (
    Bar("false alarms at 0.05, least", _FALSE_ALARMS + "_rate", "≥", 0.04),
    Bar("false alarms at 0.05, most", _FALSE_ALARMS + "_rate", "≤", 0.06),
)
"""Where thousands of images calibrate the p-values, each by itself; letters come in families of fonts."""

_PLANTED = (
    Bar("the source's methods with the planted factor first in 95 %", "truth.planted.rankings.methods_at_bar", "≥", 2),
    Bar("IoU of the mask with the known pixels", "truth.planted.masks.path_mask.iou_median", "≥", 0.5),
)

_MNIST = (
    Bar("classifier test accuracy", "classification.accuracy", "≥", 0.99),
    Bar("agreement after reconstruction", "classification.agreement_after_reconstruction.morphing", "≥", 0.97),
    Bar("judge test accuracy", "morphing.judge_accuracy", "≥", 0.99),
    Bar("misclassified digits with T of 0.5 or more", "path_mask.misclassified.share_with_half", "≥", 0.9),
    _auroc("FashionMNIST", "fashion_mnist", 0.99),
    _auroc("letters", "letters", 0.99),
    _auroc("noise", "noise", 0.99),
    _auroc("flat", "flat", 0.99),
    _auroc("blurred", "blurred", 0.98),
    _auroc("rotated by 90°", "rotated_90", 0.90),
    _auroc("half contrast", "half_contrast", 0.90),
)

EVERY_BUNDLE = (
    Bar("worst completeness gap", "path_mask.completeness_gap.worst", "≤", 0.01),
    Bar("worst objective FAST / REFERENCE", "path_mask.against_reference.worst_ratio", "≥", 0.995),
    # A p-value must not promise more than it keeps; how far a rate can be told from 0.05 depends on the images.
    Bar("false alarms at 0.05, lower end of their 95 % interval", _FALSE_ALARMS + "_interval.0", "≤", 0.05),
    *_backends(),
)

BARS: Mapping[str, tuple[Bar, ...]] = {
    "mnist": (
        *_MNIST,
        *_morphs(0.01, 0.9),
        *_CALIBRATED,
        # The best is chosen among 45 by the images that it is measured on: the median must reach the bar too.
        Bar("forest fidelity, best question with a majority ≤ 0.6", "rankings.binary.best_fidelity", "≥", 0.984),
        Bar("forest fidelity, median question", "rankings.binary.median_fidelity", "≥", 0.984),
    ),
    "letters": _morphs(0.01, 0.9),
    "fashion": (*_morphs(0.05, 0.75), *_CALIBRATED),
    "faces": (Bar("average precision, latents added, less losses alone", "protocol.gain_of_latents", ">", 0.0),),
    **dict.fromkeys(("planted_x", "planted_shape", "planted_mark"), _PLANTED),
}
"""By bundle, beyond EVERY_BUNDLE."""


def bars_of(bundle: str) -> tuple[Bar, ...]:
    return BARS.get(bundle, ()) + EVERY_BUNDLE


def judge_all(evaluation: Mapping[str, Any]) -> list[dict[str, object]]:
    """The verdicts on what was measured; `bundle` in the evaluation says whose bars count."""
    bars = bars_of(str(evaluation.get("bundle", "")))
    return [verdict for bar in bars if (verdict := bar.judge(evaluation)) is not None]


def table_of(evaluation: Mapping[str, Any]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Header and rows for a report, what was not measured yet among them."""
    rows: list[tuple[object, ...]] = []
    for bar in bars_of(str(evaluation.get("bundle", ""))):
        verdict = bar.judge(evaluation)
        passed = "not measured" if verdict is None else "passed" if verdict["passed"] else "**not passed**"
        rows.append(
            (bar.title, None if verdict is None else verdict["value"], f"{bar.comparison} {bar.bound:g}", passed)
        )
    return ("figure", "measured", "bar", ""), rows
