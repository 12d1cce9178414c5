"""Section `anomaly`: is an image from the training distribution? (DESIGN §3.2, [AN])"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from explaind.explanations.types import Detector
from explaind.training.data_sets import FOLDER
from explaind.training.evaluation.anomaly import anomaly_figures as figures
from explaind.training.evaluation.anomaly.controls import CONTROLS
from explaind.training.evaluation.anomaly.kinds import TITLES_OF_SETS, outlier_kinds
from explaind.training.evaluation.anomaly.measured import Outliers, measured
from explaind.training.evaluation.anomaly.scored import scored
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject

_PER_EXPLAINED = 10
"""In-distribution images looked at for each image that other sections explain one by one; rebuilding costs little."""
TITLES = {Detector.MAHALANOBIS: "Mahalanobis", Detector.LOGISTIC_REGRESSION: "logistic regression"}
LOSS_TITLES = {
    "mse": "MSE",
    "mae": "MAE",
    "cosine_distance": "cosine distance",
    "one_minus_ssim": "1 − SSIM",
    "cross_entropy": "cross entropy",
    "color_cross_entropy": "colour cross entropy",
    "cross_entropy_excess": "cross entropy − H(x)",
}


def excuse(subject: Subject) -> str | None:
    """Also of the other sections about anomalies."""
    if subject.reference.anomaly is None:
        return "The bundle has no morphing space, so no anomaly score."
    return None


def run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    inside = scored(subject, subject.images[: _PER_EXPLAINED * extent.images])
    found = outlier_kinds(subject, inside.images)
    outliers = tuple(Outliers(kind, scored(subject, kind.images)) for kind in found.kinds)
    result: dict[str, Any] = measured(subject, inside, outliers)
    _introduce(page, subject, result, found.skipped)
    titles = {o.kind.name: o.kind.title for o in outliers}
    detectors = [detector for detector in Detector if detector in inside.verdicts]
    _separation_table(page, result, detectors, titles)
    page.figure("anomaly_scores", figures.histograms(inside, outliers), figures.HISTOGRAMS)
    page.figure("anomaly_rates", figures.rates(inside, outliers), figures.RATES)
    _single_scores_table(page, result, titles)
    if "coefficients" in result:
        _coefficients_table(page, result["coefficients"])
    page.figure("anomaly_hardest", figures.hardest(inside, outliers), figures.HARDEST)
    return result


def _introduce(page: Page, subject: Subject, result: Mapping[str, Any], skipped: tuple[str, ...]) -> None:
    page.text(
        f"{result['inside_images']} images of the test set that nothing was fitted or calibrated on, against each kind "
        f"of outlier. The p-values are calibrated on {result['calibration_images']} others: none is below "
        f"{result['least_p_value']:.2g}. Share of in-distribution images called anomalous at {result['level']:.2g}, "
        f"with its 95 % interval: Mahalanobis {_alarms(result['mahalanobis'])}"
        + (f", logistic regression {_alarms(result['logistic_regression'])}" if "coefficients" in result else "")
        + f". {_certainty(result)}"
    )
    fitted = ", ".join(TITLES_OF_SETS.get(name, name) for name in result["fitted_on"])
    page.text(
        (f"The regression was fitted on the training part of {fitted or 'known outliers'}; here only held-out parts "
         "are used. " if "coefficients" in result else "The recipe has no known outliers, so there is no regression. ")
        + "Other data sets of another shape are resized into the part of the image that in-distribution images use."
        + (" A set that the folder of images was taken from is no outlier: pass over its row."
           if subject.recipe.data.set == FOLDER else "")
        + (f" Not in the data folder, so not tried: {', '.join(skipped)}." if skipped else "")
    )  # fmt: skip


def _alarms(detector: Mapping[str, Any]) -> str:
    low, high = detector["false_alarm_interval"]
    return f"{detector['false_alarm_rate']:.3f} ({low:.3f} to {high:.3f})"


def _certainty(result: Mapping[str, Any]) -> str:
    if result["inside_groups"] is not None:
        return (
            f"The images are of {result['inside_groups']} groups (font families, stretches of video), whose members "
            "resemble each other: the interval comes of drawing whole groups again, and is widened by as much for the "
            "calibration images, which are of other groups."
        )
    return "The interval counts that the calibration images are a sample too."


def _separation_table(page: Page, result: Mapping[str, Any], detectors: list[Detector], titles: dict[str, str]) -> None:
    page.text(
        "AP: average precision with the outlier as the positive class; base: what a random score has. "
        "AP of members: the image of the training distribution is positive, as the source defines it. FPR: share of "
        "in-distribution images flagged where 95 % of the outliers are. Flagged: share of the outliers with a p-value "
        f"of at most {result['level']:.2g}. 1 stands for more than 0.99995."
    )
    header = ["kind of outlier", "detector", "AUROC", "AP", "base", "AP of members", "FPR at 95 % TPR", "flagged"]
    columns = ("auroc", "average_precision", "base_rate", "average_precision_members", "fpr_at_95_tpr", "flagged")
    rows = [
        [title if detector is detectors[0] else "", TITLES[detector]]
        + [result[detector.value]["kinds"][kind][column] for column in columns]
        for kind, title in titles.items()
        for detector in detectors
    ]
    page.table(header, rows)


def _single_scores_table(page: Page, result: Mapping[str, Any], titles: dict[str, str]) -> None:
    page.text(
        "AUROC of each loss alone (higher: more of an outlier; below 0.5 it points the wrong way) and of the trivial "
        "controls that need no model (compressed size and mean intensity, whichever direction separates better)."
    )
    losses = list(next(iter(result["losses_auroc"].values())))
    header = ["kind of outlier", *(LOSS_TITLES[loss] for loss in losses), *(c.replace("_", " ") for c in CONTROLS)]
    rows = [
        [title, *(result["losses_auroc"][kind][loss] for loss in losses)]
        + [result[f"control_{control}_auroc"][kind] for control in CONTROLS]
        for kind, title in titles.items()
    ]
    page.table(header, rows)


def _coefficients_table(page: Page, weights: Mapping[str, float]) -> None:
    """All losses and the latents that weigh most."""
    losses = [name for name in weights if name in LOSS_TITLES or name == "channel_pair_cross_entropy_excess"]
    latents = [name for name in weights if name not in losses]
    place = {name: index + 1 for index, name in enumerate(weights)}
    page.text(
        f"Coefficients of the regression on standardised features, {len(losses)} losses and {len(latents)} latents "
        "(positive: more of it makes an outlier). The source: those of MSE and SSIM are the largest. The losses go up "
        "and down together, so how a fit divides the weight among them says little by itself. All losses, and the "
        "five largest latents:"
    )
    shown = [*losses, *latents[:5]]
    page.table(
        ["feature", "coefficient", "place by magnitude"],
        [[LOSS_TITLES.get(name, name.replace("_", " ")), weights[name], place[name]] for name in shown],
    )


SECTION = Section("anomaly", "Anomaly score", run, excuse)
