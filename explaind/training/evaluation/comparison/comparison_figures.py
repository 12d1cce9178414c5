"""Figure of the section `comparison`."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from explaind.explanations.types import Factor, FloatArray
from explaind.figures.picture_grid import Picture, picture_grid
from explaind.training.evaluation.comparison.compared import Compared
from explaind.training.evaluation.comparison.drawn_changes import CHANGES
from explaind.training.evaluation.subject import Subject

CHANGES_CAPTION = (
    "Faces as they are, and with one thing drawn on them; below each its reconstruction with the latent that differs "
    "most and its z-score."
)
_SHOWN = 10


def changes(
    subject: Subject,
    images: FloatArray,
    copies: Mapping[str, FloatArray],
    compared: Mapping[str, Compared],
    factors: tuple[Factor, ...],
) -> Figure:
    """Two rows, images and reconstructions, for the faces and for each change."""
    chosen = np.linspace(0, len(images) - 1, min(_SHOWN, len(images))).round().astype(np.int64)
    rows, titles = _pair(subject, images[chosen], [""] * len(chosen), "unchanged")
    for key, copy in copies.items():
        each = compared[key]
        captions = [
            f"{factors[f].label} {each.z_scores[i, f]:+.1f}" for i, f in zip(chosen, each.first[chosen], strict=True)
        ]
        more, names = _pair(subject, copy[chosen], captions, CHANGES[key][0])
        rows, titles = rows + more, titles + names
    return picture_grid(rows, row_titles=titles, size=72, width=1150)


def _pair(
    subject: Subject, images: FloatArray, captions: list[str], title: str
) -> tuple[list[list[Picture | None]], list[str]]:
    autoencoder = subject.models.autoencoders[subject.ranking_name]
    rebuilt = autoencoder.decode(autoencoder.encode(images)[0])
    below: list[Picture | None] = [
        Picture(pixels=pixels, caption=caption) for pixels, caption in zip(rebuilt, captions, strict=True)
    ]
    above: list[Picture | None] = [Picture(pixels=pixels) for pixels in images]
    return [above, below], [title, "rebuilt"]
