"""Section `comparison`: one thing is changed in a face; does the latent that differs most say which? ([AN])"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from explaind.training.evaluation.anomaly.fitting_in import window_of
from explaind.training.evaluation.comparison import comparison_figures as figures
from explaind.training.evaluation.comparison.compared import Compared, compare_pairs, typical
from explaind.training.evaluation.comparison.drawn_changes import CHANGES, SIDE, changed
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject

PAIRS = 300


def excuse(subject: Subject) -> str | None:
    if subject.recipe.data.set != "faces":
        return "Things are drawn on aligned faces, of which it is known where the eyes are."
    if not subject.ranking_reference().used.any():
        return "No latent is in use, so that there is nothing to compare."
    return None


def run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    images = subject.images[: min(PAIRS, extent.images)]
    window, factors = window_of(subject.images), subject.plain_factors()
    if window.size != (SIDE, SIDE):
        page.text(f"The faces fill {window.size[0]} × {window.size[1]} pixels, not {SIDE} × {SIDE}.")
        return {"pairs": 0}
    encoder = subject.models.autoencoders[subject.ranking_name]
    copies = {key: changed(images, window, change) for key, (_, change) in CHANGES.items()}
    compared = {
        key: compare_pairs(encoder, subject.ranking_reference(), factors, images, copy) for key, copy in copies.items()
    }
    result: dict[str, object] = {"pairs": len(images)}
    for key, each in compared.items():
        name, share = each.names(factors)
        result[key] = {
            "first": name,
            "share_first": share,
            "median_z": {factor.label: float(z) for factor, z in zip(factors, typical(each), strict=True) if z},
            "same_p_value_median": float(np.median(each.same_p_values)),
        }
    names = {key: each.names(factors) for key, each in compared.items()}
    result["different_latents"] = len({name for name, _ in names.values()})
    _tell(page, len(images), names, compared)
    page.figure("comparison", figures.changes(subject, images, copies, compared, factors), figures.CHANGES_CAPTION)
    return result


def _tell(page: Page, pairs: int, names: Mapping[str, tuple[str, float]], compared: Mapping[str, Compared]) -> None:
    page.text(
        "The source compares a face with and without sunglasses: the latent that differs most (z17) names what "
        f"changed. Here one thing is drawn on {pairs} held-out faces, so that it is known what differs, and each is "
        "compared with itself unchanged, as `explaind compare` does. z: difference in units of what two random faces "
        "differ by. A latent names a change if it comes first in most faces, and no other change brings it first."
    )
    rows = []
    for key, (name, share) in names.items():
        each = compared[key]
        strongest = np.nanmax(np.abs(each.z_scores), axis=1)
        rows.append(
            [CHANGES[key][0], name, f"{share:.0%}", float(np.median(strongest)), float(np.median(each.same_p_values))]
        )
    page.table(
        ["drawn", "latent that differs most, most often", "in", "median |z| of the first", "median same p-value"], rows
    )
    page.text(
        "Real glasses cannot be told here as the source did: six of ORL's forty persons are shown with and without, "
        "but in other poses and not aligned as these faces are, and 19 × 19 pixels leave little of a frame."
    )


SECTION = Section("comparison", "One thing changed", run, excuse)
