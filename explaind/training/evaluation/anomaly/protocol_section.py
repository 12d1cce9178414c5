"""Section `protocol`: precision and recall as [AN] measured them, and with the kind of outlier held out of the fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from explaind.explanations.types import Detector, FloatArray
from explaind.training.datasets import as_floats
from explaind.training.evaluation.anomaly import protocol, protocol_figures
from explaind.training.evaluation.anomaly.kinds import Kind, outlier_kinds
from explaind.training.evaluation.anomaly.protocol import LATENTS, LOSSES, Features, Runs
from explaind.training.evaluation.anomaly.protocol_page import write
from explaind.training.evaluation.anomaly.scored import scored
from explaind.training.evaluation.anomaly.section import excuse
from explaind.training.evaluation.anomaly.separation import auroc
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject

INSIDE = 1000
OUTSIDE = (100, 1000)
"""Of [AN]: held-out faces, and non-faces in its first and its second experiment."""


@dataclass(frozen=True, slots=True, eq=False)
class Scenario:
    """same, held_out: by model, the same splits in both. outside: how many outliers there are to divide."""

    outside: int
    same: Mapping[str, Runs]
    held_out: Mapping[str, Runs]


def run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    images, parts = held_out_images(subject, INSIDE)
    kinds = outlier_kinds(subject, images).kinds
    inside = scored(subject, images)
    own = protocol.features(inside)
    outside = {kind.name: scored(subject, _some(kind, subject.recipe.seed)) for kind in kinds}
    strangers = {name: protocol.features(each) for name, each in outside.items()}
    areas = {
        name: auroc(inside.verdicts[Detector.MAHALANOBIS].scores, each.verdicts[Detector.MAHALANOBIS].scores)
        for name, each in outside.items()
    }
    shown = "nonfaces" if "nonfaces" in strangers else min(areas, key=lambda name: areas[name])
    scenarios = [_scenario(own, strangers, shown, count, extent.splits, subject.recipe.seed) for count in OUTSIDE]
    table = {name: _both(own, strangers, name, extent.splits, subject.recipe.seed) for name in strangers}
    result = _figures(scenarios, table, shown, len(images), extent.splits)
    titles = {kind.name: kind.title for kind in kinds}
    write(page, result, titles, parts)
    page.figure(
        "protocol",
        protocol_figures.curves(scenarios, len(images), titles[shown]),
        protocol_figures.caption(extent.splits),
    )
    return result


def held_out_images(subject: Subject, count: int) -> tuple[FloatArray, tuple[str, ...]]:
    """At most `count` images that no network was fitted on, and the parts they are of: the evaluation half of the test
    set; where it is too small the calibration half too; then the validation images, which networks were stopped on."""
    splits = subject.splits
    available = {"evaluation": splits.evaluation, "calibration": splits.calibration, "validation": splits.validation}
    chosen: dict[str, FloatArray] = {}
    for name, images in available.items():
        missing = count - sum(len(each) for each in chosen.values())
        if missing > 0:
            chosen[name] = as_floats(images.images[:missing])
    return np.concatenate(list(chosen.values())), tuple(chosen)


def _some(kind: Kind, seed: int) -> FloatArray:
    order = np.random.default_rng(seed).permutation(len(kind.images))[:INSIDE]
    return kind.images[np.sort(order)]


def _scenario(
    own: Features, strangers: Mapping[str, Features], shown: str, count: int, splits: int, seed: int
) -> Scenario:
    rows = np.random.default_rng(seed).permutation(len(strangers[shown][LOSSES]))[:count]
    outside, others = _rows(strangers[shown], rows), _others(strangers, shown)
    same = protocol.repeat(own, outside, None, splits=splits, seed=seed)
    held_out = protocol.repeat(own, outside, others, splits=splits, seed=seed)
    return Scenario(len(rows), same, held_out)


def _both(
    own: Features, strangers: Mapping[str, Features], name: str, splits: int, seed: int
) -> tuple[Mapping[str, Runs], Mapping[str, Runs]]:
    """One kind by the two regressions alone: (same kind, kind held out)."""
    same, held_out = (
        protocol.repeat(own, strangers[name], others, splits=splits, seed=seed, models=(LOSSES, LATENTS))
        for others in (None, _others(strangers, name))
    )
    return same, held_out


def _others(strangers: Mapping[str, Features], name: str) -> list[Features]:
    return [features for other, features in strangers.items() if other != name]


def _rows(features: Features, rows: NDArray[np.int64]) -> Features:
    return {name: values[rows] for name, values in features.items()}


def _figures(
    scenarios: list[Scenario],
    table: Mapping[str, tuple[Mapping[str, Runs], Mapping[str, Runs]]],
    shown: str,
    inside: int,
    splits: int,
) -> dict[str, object]:
    return {
        "inside_images": inside,
        "splits": splits,
        "kind": shown,
        "gain_of_latents": protocol.gain(scenarios[-1].same).mean,
        "scenarios": {
            str(OUTSIDE[index]): {
                "outside_images": scenario.outside,
                "base_rate": scenario.outside / (scenario.outside + inside),
                "same_kind": _summary(scenario.same),
                "kind_held_out": _summary(scenario.held_out),
                "gain_of_latents": asdict(protocol.gain(scenario.same)),
                "gain_of_latents_kind_held_out": asdict(protocol.gain(scenario.held_out)),
            }
            for index, scenario in enumerate(scenarios)
        },
        "kinds": {
            name: {"same_kind": _summary(same), "kind_held_out": _summary(held_out)}
            for name, (same, held_out) in table.items()
        },
    }


def _summary(runs: Mapping[str, Runs]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "average_precision": float(each.average_precision.mean()),
            "deviation": float(each.average_precision.std()),
            "average_precision_members": float(each.members.mean()),
        }
        for name, each in runs.items()
    }


SECTION = Section("protocol", "Precision and recall over random splits", run, excuse)
