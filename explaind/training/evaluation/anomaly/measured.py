"""The figures of the section `anomaly`: every kind of outlier against both detectors, each loss and the controls."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explaind.explanations.anomaly_features import supervised_names
from explaind.explanations.types import AnomalyReference, BoolArray, Detector, DoubleArray
from explaind.training.datasets import LabelArray
from explaind.training.evaluation.anomaly.controls import CONTROLS, controls
from explaind.training.evaluation.anomaly.kinds import Kind
from explaind.training.evaluation.anomaly.scored import SINGLE_LOSSES, Scored, anomaly_reference, level_of
from explaind.training.evaluation.anomaly.separation import areas, separation, share, share_of_groups, two_sided
from explaind.training.evaluation.subject import Subject


@dataclass(frozen=True, slots=True, eq=False)
class Outliers:
    kind: Kind
    scored: Scored


def measured(subject: Subject, inside: Scored, outliers: tuple[Outliers, ...]) -> dict[str, object]:
    """What evaluation.json keeps. inside: the first of the subject's images."""
    reference = anomaly_reference(subject)
    calibration, groups = len(reference.mahalanobis.calibration), subject.splits.evaluation.groups
    result: dict[str, object] = {
        "level": level_of(reference),
        "inside_images": len(inside),
        "calibration_images": calibration,
        "inside_groups": None if groups is None else len(np.unique(groups[: len(inside)])),
        "least_p_value": 1 / (calibration + 1),
        "fitted_on": list(subject.recipe.anomaly.outliers),
        "outlier_images": {o.kind.name: len(o.scored) for o in outliers},
    }
    for detector, verdicts in inside.verdicts.items():
        result[detector.value] = {
            **_false_alarms(verdicts.anomalous, groups, level_of(reference), calibration),
            "kinds": {o.kind.name: separation(verdicts, o.scored.verdicts[detector]) for o in outliers},
        }
    if Detector.LOGISTIC_REGRESSION in inside.verdicts:
        result["coefficients"] = coefficients(reference, inside.images.shape[1])
    result["losses_auroc"] = {o.kind.name: areas(distinct_losses(inside), distinct_losses(o.scored)) for o in outliers}
    result |= _controls(inside, outliers)
    return result


def _false_alarms(anomalous: BoolArray, groups: LabelArray | None, level: float, calibration: int) -> dict[str, object]:
    """The rate with its 95 % interval: the exact one where every image stands for itself, else over the groups.

    Widened by what the calibration images add, which are a sample too; in groups they add about as much as the
    evaluation images do.
    """
    if groups is None:
        alarms = share(anomalous)
        alarms = alarms.widened(1.96 * math.sqrt(level * (1 - level) / calibration))
    else:
        alarms = share_of_groups(anomalous, groups[: len(anomalous)])
        alarms = alarms.widened(max(alarms.rate - alarms.low, alarms.high - alarms.rate))
    return {"false_alarm_rate": alarms.rate, "false_alarm_interval": [alarms.low, alarms.high]}


def distinct_losses(scored: Scored) -> Mapping[str, DoubleArray]:
    """Of grey images the two cross entropies coincide: one is left out."""
    skipped = {"color_cross_entropy"} if scored.images.shape[1] == 1 else set()
    return {name: scored.losses[name] for name in SINGLE_LOSSES if name not in skipped}


def coefficients(reference: AnomalyReference, channels: int) -> dict[str, float]:
    """Weights of the served regression on standardised features, largest magnitude first; positive: more of it makes
    an outlier. Empty where there is no regression."""
    if reference.logistic is None:
        return {}
    weights = reference.logistic.weights
    losses = len(supervised_names(channels, 0))
    names = supervised_names(channels, len(weights) - losses)
    return {names[i]: float(weights[i]) for i in np.argsort(-np.abs(weights), kind="stable")}


def _controls(inside: Scored, outliers: tuple[Outliers, ...]) -> dict[str, object]:
    of_inside = controls(inside.images)
    tables = {o.kind.name: areas(of_inside, controls(o.kind.images)) for o in outliers}
    return {
        f"control_{control}_auroc": {kind: two_sided(table[control]) for kind, table in tables.items()}
        for control in CONTROLS
    }
