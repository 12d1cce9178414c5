"""What the report says of planted causes: the rankings' first latent and the masks' overlap with known pixels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from explaind.explanations import path_mask_parameters
from explaind.explanations.types import DoubleArray, RankingMethod
from explaind.training.datasets.planted import FACTORS, QUESTIONS, Scenes, draw_scenes
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.latents import labels_used
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth import planted_figures, planted_masks
from explaind.training.evaluation.truth.planted_masks import MaskTruth, mask_truth
from explaind.training.evaluation.truth.planted_rankings import (
    BAR,
    WITHOUT_LABELS,
    MethodTruth,
    RankingTruth,
    ranking_truth,
)
from explaind.training.evaluation.truth.white_box import WhiteBox

MOST_RANKED = 200
MOST_MASKS = 120
KNOWN = 4000  # scenes behind the mutual information
_ROWS = 4
_RANKED, _INFORMATION, _MASKED = 2, 3, 4  # each part draws its own scenes; 0 and 1 are the training and the test set

_TARGETS = {
    "x": "the object's pixels in the image and where it stands if moved to the nearest place on the other side",
    "shape": "the object's pixels in the image and with the nearest arms that have the other answer",
    "mark": "the mark's pixels",
}


def write(subject: Subject, box: WhiteBox, extent: Extent, page: Page) -> Mapping[str, object]:
    """Empty for a bundle whose cause is not known."""
    question = QUESTIONS.get(subject.recipe.data.set)
    if question is None:
        return {}
    known = _scenes(subject, KNOWN, _INFORMATION)
    truth = ranking_truth(subject, question, _scenes(subject, min(extent.images, MOST_RANKED), _RANKED), known)
    masks = mask_truth(subject, box, question, _scenes(subject, min(extent.images, MOST_MASKS), _MASKED))
    page.heading("The cause is known: rankings")
    if labels := labels_used(subject, subject.ranking_name):  # above the figures, as they are owed to them
        page.text(f"{labels}{without_labels(question)}")
    _write_rankings(truth, page)
    page.heading("The cause is known: masks")
    _write_masks(masks, question, page)
    return {"planted": {"question": question, "rankings": _figures(truth), "masks": planted_masks.figures(masks)}}


def _scenes(subject: Subject, count: int, part: int) -> Scenes:
    return draw_scenes(count, (subject.recipe.data.split_seed, part))


def without_labels(cause: str) -> str:
    """What the rankings did before the space was trained with labels; empty where it never was otherwise."""
    before = ", ".join(f"{_name(method)} {share:.3f}" for method, share in WITHOUT_LABELS.get(cause, {}).items())
    return f" An earlier build, trained without labels, had the right factor first in: {before}." if before else ""


def _name(method: RankingMethod) -> str:
    return method.value.replace("_", " ")


def _write_rankings(truth: RankingTruth, page: Page) -> None:
    place, count = FACTORS.index(truth.cause), len(truth.methods[RankingMethod.SOBOL].firsts)
    held = ", ".join(f"z{latent}" for latent in truth.latents.latents_of(place)) or "no latent"
    page.text(
        f"The labels of this data set depend on **{truth.cause}** alone. A latent belongs to the factor with which it "
        f"has most mutual information over {KNOWN} scenes; {truth.cause} is held by {held}, and "
        f"{truth.latents.purity(place):.0%} of what the best of them tells is about it. {count} new scenes were ranked "
        f"one by one, each method with its own default measure. The bar is the right factor first in {BAR:.0%} of "
        f"them, for two of the source's three methods: **{truth.passed()} of 3** reach it."
    )
    header = ["method", "right factor first", "lead over the next factor, median",
              "mostly first instead", "global"]  # fmt: skip
    page.table(header, [_row(truth, method) for method in RankingMethod])
    caption = "Left: which latent tells what (bold: its factor). Right: how often each method is right; Sobol is ours."
    page.figure("truth_rankings", planted_figures.rankings(truth), caption)
    for method in RankingMethod:
        if truth.methods[method].right < BAR:
            page.text(_why(truth, method))


def _row(truth: RankingTruth, method: RankingMethod) -> list[object]:
    one = truth.methods[method]
    instead = one.instead(truth.cause)
    return [
        _name(method),
        one.right,
        float(np.median(one.lead)),
        f"{instead[0]} ({instead[1]} images)" if instead else "–",
        one.globally,
    ]


def _why(truth: RankingTruth, method: RankingMethod) -> str:
    """Where a method fails: what stands first instead, what that knows of the right factor, and which images."""
    one = truth.methods[method]
    instead = one.instead(truth.cause)
    assert instead is not None  # it is below the bar, so something else was first
    name, count = instead
    cause, table = FACTORS.index(truth.cause), truth.latents.information
    latent = max(truth.latents.latents_of(FACTORS.index(name)), key=lambda one: float(table[one, cause]))
    share = table[latent, cause] / max(float(table[:, cause].max()), 1e-9)
    return (
        f"{_name(method).capitalize()} is right in {one.right:.1%} of the images. Where it is not, "
        f"{name} stands first most often ({count} images), whose z{latent} has {share:.0%} of the information on "
        f"{truth.cause} that its own latent has. {_where(one, truth.cause)}"
    )


def _where(one: MethodTruth, cause: str) -> str:
    """What the images have in common in which a method is wrong."""
    wrong = np.array(one.firsts) != cause
    value, noted = np.array(one.value), np.array(one.noted)[wrong].mean()
    elsewhere = f", in the others {value[~wrong].mean():.2f}" if not wrong.all() else ""
    return (
        f"In these images the latent of {cause} lies {value[wrong].mean():.2f} from 0 in the mean{elsewhere}; in "
        f"{noted:.0%} of them the answer itself notes that it rests on next to nothing: on a probability that does not "
        "change near the image (saturation), or on few reference images."
    )


def _write_masks(truth: MaskTruth, question: str, page: Page) -> None:
    page.text(
        f"Known pixels: {_TARGETS[question]}, by construction. The path mask is cut at one half, as it is served "
        f"(blurred), and judged: its median IoU with the known pixels of {len(truth.images)} scenes is "
        f"**{np.median(truth.overlap):.2f}** (bar: {planted_masks.BAR}), and {np.mean(truth.overlap >= 0.5):.0%} of "
        "the scenes are at 0.5 or above. The table gives every method its best case: its strongest pixels, as many as "
        "are known. Changed pixels are those of the known ones that differ between the scene and its counterpart. "
        "AUROC is of the magnitudes, and needs no cut."
    )
    page.text(_width(truth))
    rows: list[list[object]] = [["path mask as served", *_medians(truth.overlap, truth.overlap_changed), None]]
    rows += [[name, *_medians(one.overlap, one.changed), float(np.nanmedian(one.auroc))]
             for name, one in truth.methods.items()]  # fmt: skip
    page.table(["method", "IoU, median", "share of images ≥ 0.5", "IoU with the changed pixels, median", "AUROC"], rows)
    page.figure("truth_overlaps", planted_figures.overlaps(truth), "Overlap with the known pixels: median of the "
                "images, the line is their middle half.")  # fmt: skip
    page.figure(
        "truth_gallery",
        planted_figures.gallery(truth, range(min(_ROWS, len(truth.images)))),
        "Known pixels outlined in green. Red: brighter here makes it self rather than other; blue: darker. Of the "
        "others, red raises the predicted class's logit.",
    )


def _width(truth: MaskTruth) -> str:
    """Why a served mask is wider than the cause."""
    area, known = (float(np.median(pixels.sum(axis=(1, 2)))) for pixels in (truth.maps.binary(), truth.known))
    sparser = ", ".join(f"{value:.2f} at {one:g}" for one, value in truth.by_sparsity.items())
    return (
        f"The served mask covers {np.median(truth.covered):.0%} of the known pixels in the median; it has {area:.0f} "
        f"pixels, {known:.0f} are known. It is blurred, and the less a pixel costs the more of the blur's margin stays "
        f"in: {_cost(truth)}. The attribution, which is the mask times the change, has no such margin: it is "
        f"the table's second row. Median IoU of the served masks of {min(planted_masks.FEW, len(truth.images))} scenes "
        f"by sparsity: {sparser}."
    )


def _cost(truth: MaskTruth) -> str:
    if truth.sparsity == path_mask_parameters.SPARSITY:
        return f"here it costs what it does by default, a sparsity of {truth.sparsity:g}"
    return (
        f"this bundle's recipe sets a sparsity of {truth.sparsity:g} instead of {path_mask_parameters.SPARSITY:g}, and "
        "says how that was chosen"
    )


def _medians(overlap: DoubleArray, changed: DoubleArray) -> list[float]:
    return [float(np.median(overlap)), float(np.mean(overlap >= planted_masks.BAR)), float(np.median(changed))]


def _figures(truth: RankingTruth) -> dict[str, object]:
    place = FACTORS.index(truth.cause)
    return {
        "images": len(truth.methods[RankingMethod.SOBOL].firsts),
        "latents": [f"z{latent}" for latent in truth.latents.latents_of(place)],
        "purity": truth.latents.purity(place),
        "supervised_images": truth.supervised_images,
        "right_first": {method.value: one.right for method, one in truth.methods.items()},
        "methods_at_bar": truth.passed(),
        "information": {
            name: [float(value) for value in column]
            for name, column in zip(FACTORS, truth.latents.information.T, strict=True)
        },
    }
