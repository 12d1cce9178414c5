"""The quality report as a page: verdicts first, then every figure beside its threshold, then pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject
from explaind.training.foreign import quality_figures as figures
from explaind.training.foreign.quality import Quality
from explaind.training.foreign.verdicts import Assessment


def write_page(folder: Path, subject: Subject, quality: Quality, assessments: Sequence[Assessment]) -> Path:
    """Writes README.md and its figures into `folder`, and returns its path."""
    names = subject.manifest.class_names
    page = Page(folder, f"Quality report: {subject.manifest.name}")
    _opening(page, subject, quality)
    page.table(("explanation", "verdict", "because"), [_verdict_row(a) for a in assessments])
    page.heading("Figures and thresholds", 2)
    page.text("An explanation is as good as the worst of its figures. The thresholds are explaind's own.")
    page.table(
        ("explanation", "figure", "measured", "good", "doubtful", "on", "verdict"),
        [row for assessment in assessments for row in _figure_rows(assessment)],
    )
    _pictures(page, subject, quality, names)
    return page.save()


def _opening(page: Page, subject: Subject, quality: Quality) -> None:
    recipe, parts = subject.recipe, subject.splits
    channels, height, width = subject.manifest.image_shape
    page.text(
        f"Classifier `{recipe.classifier.architecture}` of {len(subject.manifest.class_names)} classes, explained on "
        f"images of {channels} × {height} × {width}. VAEs fitted on {len(parts.train)} images and stopped on "
        f"{len(parts.validation)}; p-values calibrated on {len(parts.calibration)}; everything below measured on up to "
        f"{len(quality.images)} others. Accuracy on them: {quality.accuracy:.3f}."
    )
    page.heading("Verdicts", 2)


def _verdict_row(assessment: Assessment) -> tuple[str, str, str]:
    figure = assessment.deciding
    if figure is None:
        return assessment.explanation, f"**{assessment.verdict}**", assessment.absent
    advice = "" if assessment.verdict == "good" else f" {figure.advice}"
    return assessment.explanation, f"**{assessment.verdict}**", f"{figure.name}: {figure.value:.3f}.{advice}"


def _figure_rows(assessment: Assessment) -> list[tuple[object, ...]]:
    return [
        (
            assessment.explanation,
            figure.name,
            f"{figure.value:.3f}",
            *figure.bounds(),
            figure.count,
            figure.verdict.value,
        )
        for figure in assessment.figures
    ]


def _pictures(page: Page, subject: Subject, quality: Quality, names: Sequence[str]) -> None:
    spaces = ((subject.morphing_name, "morphing VAE"), (subject.ranking_name, "ranking VAE"))
    page.heading("What the VAEs make of the images", 2)
    errors = ", ".join(f"{title} {quality.rebuilt[space].error:.3f}" for space, title in spaces)
    page.text(
        f"Mean absolute error a pixel, of [0, 1]: {errors}. The ranking VAE has few latents on purpose. Latents in use "
        f"for ranking: {quality.used_latents}. The forest that ranks by surrogate decides as the classifier in "
        f"{quality.forest_fidelity:.3f} of the validation images; always naming the commonest class would in "
        f"{quality.majority:.3f} of these here."
    )
    page.figure(
        "reconstructions",
        figures.reconstructions(quality, names, spaces),
        "Images and their reconstructions, with the class that the classifier sees; red where it is another.",
    )
    page.heading("Path masks", 2)
    if quality.masks:
        page.figure(
            "path_masks",
            figures.path_masks(quality, names),
            "Why this class rather than the next likely one: the reconstruction, its counterpart in the other class "
            "(with the p-value of looking natural), and the pixels that turn one into the other. Red: brighter here "
            "makes it the first class rather than the other; blue: darker.",
        )
    else:
        page.text("None: an ONNX file has no gradients. A request for one answers `EXPLANATION_UNSUPPORTED`.")
    page.heading("Anomaly scores", 2)
    rates = [
        (kind, f"{quality.auroc(kind):.3f}", f"{batch.anomalous.mean():.3f}") for kind, batch in quality.altered.items()
    ]
    page.table(("altered images", "AUROC", f"called anomalous at {quality.level:.2g}"), rates)
    page.figure("anomaly_scores", figures.anomaly_scores(quality), "Scores of the images given and of altered ones.")
