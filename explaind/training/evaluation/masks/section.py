"""The path masks' section of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import FloatArray, PathMask
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.masks import masks_figures
from explaind.training.evaluation.masks.certificates import (
    against_reference,
    certificates,
    mask_of,
    misclassified,
)
from explaind.training.evaluation.masks.masks_figures import Shown
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section, without_path_masks
from explaind.training.evaluation.subject import Subject

_SHOWN = 10
_MOST_WRONG = 200
"""Wrongly classified images that are explained: on hard sets there are thousands."""


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    count = min(extent.images, len(subject.images))
    masks = [mask_of(subject, index) for index in range(count)]
    labels = subject.splits.evaluation.labels
    wrong = [int(i) for i in np.flatnonzero(subject.predicted != labels)]
    asked = wrong[: min(_MOST_WRONG, extent.images)]
    answers = [mask_of(subject, index, int(labels[index])) for index in asked]
    figures: dict[str, object] = {
        **certificates(masks),
        "against_reference": against_reference(subject, min(extent.reference_masks, count)),
        "misclassified": {**misclassified(answers), "of": len(wrong)},
    }
    _write(figures, page)
    _usual(subject, masks, page)
    _wrong(subject, asked, answers, page)
    _badly_rebuilt(subject, masks, page)
    return figures


# ---- text ---------------------------------------------------------------------------------------------------


def _write(figures: Mapping[str, object], page: Page) -> None:
    outcomes, wrong, slow = figures["outcomes"], figures["misclassified"], figures["against_reference"]
    assert isinstance(outcomes, dict) and isinstance(wrong, dict) and isinstance(slow, dict)
    page.text(
        f"{figures['images']} test images, each asked why it is what the classifier says rather than its second "
        f"choice: {_counts(outcomes)}. Completeness is what the attribution misses of the change of probability T "
        "along the path; stationarity is how far the objective could still rise. Both are certificates that each "
        f"answer carries. The source's solver goes over {slow['images']} of the same paths, 3,000 steps of Adam each."
    )
    gaps = {key: figures[key] for key in ("completeness_gap", "stationarity_gap")}
    rows: list[Sequence[object]] = [
        (f"{key.replace('_', ' ')}, {name}", value[name])
        for key, value in gaps.items()
        if isinstance(value, dict)
        for name in ("median", "worst")
    ]
    rows += [
        ("objective, median", figures["objective_median"]),
        ("mask's share of the image, median", figures["area_median"]),
        ("objective FAST / source's solver, median", slow["median_ratio"]),
        ("objective FAST / source's solver, worst", slow["worst_ratio"]),
        ("IoU of both masks, median", slow["median_iou"]),
        ("IoU of both masks, worst", slow["worst_iou"]),
        (f"wrongly classified ({wrong['images']} of {wrong['of']}): T of 0.5 or more", wrong["share_with_half"]),
        ("wrongly classified: T, median", wrong["median_change"]),
    ]
    page.table(("", "measured"), rows)


def _counts(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {name.replace('_', ' ')}" for name, number in outcomes.items())


# ---- galleries ----------------------------------------------------------------------------------------------


def _usual(subject: Subject, masks: Sequence[PathMask], page: Page) -> None:
    labels, predicted = subject.splits.evaluation.labels[: len(masks)], subject.predicted[: len(masks)]
    first = [np.flatnonzero((predicted == k) & (labels == k)) for k in range(len(subject.manifest.class_names))]
    least = max(1, _SHOWN // len(first))
    chosen = [int(i) for rows in first for i in rows[:least]][:_SHOWN]
    page.heading("Usual images")
    page.figure(
        "masks_usual",
        masks_figures.gallery([_shown(subject, i, masks[i], "") for i in chosen]),
        "The first test images of each class. Red: this image is brighter there than its counterpart, which makes it "
        "what it is rather than the other; blue: darker.",
    )


def _wrong(subject: Subject, asked: Sequence[int], answers: Sequence[PathMask], page: Page) -> None:
    if not asked:
        return
    names, labels = subject.manifest.class_names, subject.splits.evaluation.labels
    page.heading("Wrongly classified images")
    page.text("Self is the prediction, other the true label: red and blue are what misled the classifier.")
    page.figure(
        "masks_wrong",
        masks_figures.gallery(
            [
                _shown(subject, i, m, f"is {names[int(labels[i])]}")
                for i, m in zip(asked[:_SHOWN], answers, strict=False)
            ]
        ),
        "The first wrongly classified test images.",
    )


def _badly_rebuilt(subject: Subject, masks: Sequence[PathMask], page: Page) -> None:
    rebuilt: FloatArray = subject.autoencoder.decode(subject.autoencoder.encode(subject.images[: len(masks)])[0])
    errors = losses(subject.images[: len(masks)], rebuilt).mse
    chosen = [int(i) for i in np.argsort(-errors, kind="stable")[:_SHOWN]]
    page.heading("Badly rebuilt images")
    page.text(
        "What the mask explains is the reconstruction. Where that is another picture, so is the explanation: "
        "`reconstruction_agrees` and the anomaly score tell."
    )
    page.figure(
        "masks_badly_rebuilt",
        masks_figures.gallery([_shown(subject, i, masks[i], f"error {errors[i]:.3f}") for i in chosen]),
        f"The largest mean squared errors among {len(masks)} (median {float(np.median(errors)):.4f}).",
    )


def _shown(subject: Subject, index: int, result: PathMask, note: str) -> Shown:
    names = subject.manifest.class_names
    return Shown(
        image=subject.images[index],
        result=result,
        note=note,
        self_name=names[result.self_class],
        other_name=names[result.other_class],
    )


SECTION = Section("path_mask", "Path masks", _run, without_path_masks, morphs=True)
