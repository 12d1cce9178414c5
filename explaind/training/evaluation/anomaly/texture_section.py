"""Section `texture`: what smooth images do to a loss, and how much the p-values suffer from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explaind.training.datasets import as_floats
from explaind.training.evaluation.anomaly import texture_figures as figures
from explaind.training.evaluation.anomaly.fitting_in import window_of
from explaind.training.evaluation.anomaly.kinds import Kind, outlier_kinds
from explaind.training.evaluation.anomaly.scored import anomaly_reference, level_of, scored
from explaind.training.evaluation.anomaly.section import excuse
from explaind.training.evaluation.anomaly.texture import Textured, detector_names, passing, summary, textured
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject

_PHOTOGRAPHS = ("nonfaces", "cifar10")
_PER_EXPLAINED = 4
TITLES = {
    "mse": "MSE alone",
    "one_minus_ssim": "1 − SSIM alone",
    "mahalanobis": "Mahalanobis",
    "logistic_regression": "logistic regression",
}


def run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    images = subject.images[: _PER_EXPLAINED * extent.images]
    window, level = window_of(images), level_of(anomaly_reference(subject))
    kind = _photographs(outlier_kinds(subject, images).kinds)
    if kind is None:
        page.text("There is no other data set in the data folder to sort by its texture.")
        return {"kind": None}
    calibration = scored(subject, as_floats(subject.splits.calibration.images))
    own, strange = scored(subject, images), scored(subject, kind.images)
    inside, outside = textured(own, window, calibration), textured(strange, window, calibration)
    result: dict[str, Any] = {"kind": kind.name, "level": level, **summary(inside, outside, level)}
    result["smoothest_quarter_passing"] = {name: passing(outside, name, level) for name in outside.p_values}
    _tell(page, result, kind, outside)
    page.figure("texture", figures.flagged(inside, outside, result, kind.title), figures.FLAGGED)
    page.figure("texture_images", figures.gallery(strange, outside), figures.GALLERY)
    return result


def _photographs(kinds: tuple[Kind, ...]) -> Kind | None:
    """Photographs of anything are the source's case; else another real set."""
    real = {kind.name: kind for kind in kinds if kind.real}
    named = (real[name] for name in _PHOTOGRAPHS if name in real)
    return next(named, next(iter(real.values()), None))


def _tell(page: Page, result: Mapping[str, Any], kind: Kind, outside: Textured) -> None:
    correlation, areas = result["mse_correlation"], result["mse_auroc_by_quarter"]
    page.text(
        "The source found that smooth images with large flat areas rebuild well whatever they show, and textured ones "
        f"badly, so that MSE alone is fooled. Here {result['outside_images']} images of {kind.title} are sorted by "
        "their texture (total variation: mean difference of neighbouring pixels), beside "
        f"{result['inside_images']} in-distribution images. Rank correlation of texture and MSE: "
        f"{correlation['outside']:.2f} in {kind.title}, {correlation['inside']:.2f} in-distribution. "
        f"{result['smoother_than_half_inside']:.0%} of {kind.title} are smoother than the median in-distribution "
        f"image. AUROC of MSE alone, from the smoothest quarter of them to the most textured: "
        f"{', '.join(f'{area:.3f}' for area in areas)}."
    )
    scores = ("mse", "one_minus_ssim", *detector_names(outside))
    page.text(f"Share flagged at {result['level']:.2g}, by texture:")
    rows: list[list[object]] = []
    for name, title in (("outside", kind.title), ("inside", "in-distribution (false alarms)")):
        for place, quarter in enumerate(result[name]):
            shares = [f"{quarter[f'flagged_{score}']:.3f}" for score in scores]
            rows.append([title if place == 0 else "", _QUARTERS[place], quarter["median_mse"], *shares])
    page.table(["images", "quarter", "median MSE", *(TITLES[score] for score in scores)], rows)
    passed = result["smoothest_quarter_passing"]
    told = "; ".join(f"{TITLES[score]} {passed[score]:.1%}" for score in scores)
    page.text(f"Of the smoothest quarter of {kind.title}, this share passes as in-distribution: {told}.")


_QUARTERS = ("smoothest", "second", "third", "most textured")

SECTION = Section("texture", "Smooth images", run, excuse)
