"""Figures of the quality report: what the VAE makes of the images, the path masks, and the anomaly scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from explaind.explanations.types import PathMask
from explaind.figures.charts import chart, legend
from explaind.figures.palette import BLUE, INK, RED, SOFT, series
from explaind.figures.picture_grid import Picture, picture_grid
from explaind.training.foreign.quality import Classes, Quality

_SHOWN = 8


def reconstructions(quality: Quality, names: Sequence[str], titles: Sequence[tuple[str, str]]) -> Figure:
    """Images of as many classes as there is room for, above what each latent space makes of them. titles: (latent
    space, title of its row)."""
    rows = _of_different_classes(quality.labels)
    grid = [[_captioned(quality.images[i], names[quality.classes[i]], INK) for i in rows]]
    for space, _ in titles:
        rebuilt = quality.rebuilt[space]
        grid.append(
            [
                _captioned(
                    rebuilt.images[i],
                    names[rebuilt.classes[i]],
                    INK if rebuilt.classes[i] == quality.classes[i] else RED,
                )
                for i in rows
            ]
        )
    return picture_grid(grid, row_titles=["image", *(title for _, title in titles)], size=110)


def path_masks(quality: Quality, names: Sequence[str]) -> Figure:
    """The first images with a morph: image, reconstruction, counterpart, and the signed mask."""
    pairs = [(i, mask) for i, mask in enumerate(quality.masks) if mask.morph_steps and not np.isnan(mask.other_p_value)]
    shown = pairs[:_SHOWN] or list(enumerate(quality.masks))[:_SHOWN]
    columns = [_mask_column(quality, index, mask, names) for index, mask in shown]
    grid = [[column[row] for column in columns] for row in range(4)]
    return picture_grid(grid, row_titles=["image", "reconstruction", "counterpart", "path mask"], size=110)


def anomaly_scores(quality: Quality) -> Figure:
    """Histograms of the p-values' scores: the images' own, and altered ones'."""
    figure, (axes,) = chart(900, 380)
    scores = {"images given": quality.inside.scores, **{k: b.scores for k, b in quality.altered.items()}}
    low = min(float(np.min(values)) for values in scores.values())
    high = max(float(np.max(values)) for values in scores.values())
    bins = np.geomspace(max(low, 1e-3), max(high, 2e-3), 60)
    for number, (name, values) in enumerate(scores.items()):
        color, width = (INK, 2.2) if number == 0 else (series(number), 1.5)
        axes.hist(
            np.clip(values, bins[0], bins[-1]), bins=list(bins), histtype="step", color=color, lw=width, label=name
        )
    axes.axvline(quality.inside.threshold, color=SOFT, lw=1.2, ls="--")
    axes.set_xscale("log")
    axes.set_xlabel(f"anomaly score; dashed: the threshold at level {quality.level:.2g}")
    axes.set_ylabel("images")
    legend(axes, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _of_different_classes(labels: Classes) -> list[int]:
    """Indices, one of each class first, then on from the beginning."""
    first = [int(np.flatnonzero(labels == label)[0]) for label in np.unique(labels)]
    others = [index for index in range(len(labels)) if index not in first]
    return sorted([*first, *others][:_SHOWN])


def _captioned(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float32]], name: str, color: str) -> Picture:
    return Picture(pixels=pixels, caption=name, color=color)


def _mask_column(quality: Quality, index: int, mask: PathMask, names: Sequence[str]) -> list[Picture]:
    found = not np.isnan(mask.other_p_value)
    own, other = names[mask.self_class], names[mask.other_class]
    image = quality.images[index]
    return [
        Picture(pixels=image, caption=own, color=INK),
        Picture(pixels=mask.reconstruction, caption=own if mask.reconstruction_agrees else "another class",
                color=INK if mask.reconstruction_agrees else RED),
        Picture(pixels=mask.other_image, caption=f"{other}\np = {mask.other_p_value:.2f}" if found else f"no {other}",
                color=BLUE if found else RED),
        Picture(pixels=image, attribution=mask.attribution, caption=f"change {mask.probability_change:.2f}"),
    ]  # fmt: skip
