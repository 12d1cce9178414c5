"""Figures of the planted causes: marked pixels with the known ones outlined, overlaps, and factors against latents."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from explaind.explanations.types import BoolArray, DoubleArray, FloatArray, RankingMethod
from explaind.figures.charts import TEXT, chart
from explaind.figures.palette import CONTROL, FAINT, GREEN, INK, OURS, SOFT, THEIRS
from explaind.figures.pictures import as_picture, overlay, pale
from explaind.training.datasets.planted import FACTORS
from explaind.training.evaluation.truth.pixel_maps import PATH_MASK
from explaind.training.evaluation.truth.planted_masks import BAR, BRIGHTNESS, MaskTruth
from explaind.training.evaluation.truth.planted_rankings import BAR as RANKING_BAR
from explaind.training.evaluation.truth.planted_rankings import RankingTruth

_BREAKS = {
    "integrated gradients": "integrated\ngradients",
    "gradient × input": "gradient\n× input",
    "guided backpropagation": "guided\nbackprop.",
    "deconvolution": "deconvo-\nlution",
    "path mask": "path mask\n(ours)",
}


def gallery(truth: MaskTruth, chosen: Sequence[int]) -> Figure:
    """A row an image: itself, its counterpart by the morph, then every method's map, all with the known pixels
    outlined."""
    methods = tuple(truth.maps.maps)
    titles = ["image", "morphed\nto", *(short(name) for name in methods)]
    figure, axes = chart(1180, 60 + 118 * len(chosen), rows=len(chosen), columns=len(titles))
    for row, index in enumerate(chosen):
        line = axes[row * len(titles) : (row + 1) * len(titles)]
        _image(line[0], truth.images[index])
        _image(line[1], truth.maps.masks[index].other_image)
        for place, name in enumerate(methods, start=2):
            attributed(line[place], truth.images[index], truth.maps.maps[name][index])
        for one in line:
            outline(one, truth.known[index])
    for one, title in zip(axes, titles, strict=False):
        one.set_title(title, fontsize=TEXT, color=INK)
    return figure


def _image(axes: Axes, pixels: FloatArray) -> None:
    bare(axes)
    axes.imshow(as_picture(pixels), cmap="gray", vmin=0, vmax=1, interpolation="nearest")


def attributed(axes: Axes, pixels: FloatArray, attribution: DoubleArray) -> None:
    """The map in red and blue over the pale image."""
    bare(axes)
    axes.imshow(pale(pixels), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    axes.imshow(overlay(attribution.astype(np.float32)), interpolation="nearest")


def bare(axes: Axes) -> None:
    """A picture's axes: a faint frame, no ticks."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    for side in axes.spines.values():
        side.set(visible=True, color=FAINT)


def outline(axes: Axes, known: BoolArray) -> None:
    """A line around the known pixels, along their edges; known (H, W)."""
    padded = np.pad(known, 1)
    rows = [((x - 0.5, y - 0.5), (x + 0.5, y - 0.5)) for y, x in np.argwhere(padded[1:, 1:-1] ^ padded[:-1, 1:-1])]
    columns = [((x - 0.5, y - 0.5), (x - 0.5, y + 0.5)) for y, x in np.argwhere(padded[1:-1, 1:] ^ padded[1:-1, :-1])]
    axes.add_collection(LineCollection(rows + columns, colors=GREEN, linewidths=1.2))


def overlaps(truth: MaskTruth) -> Figure:
    """IoU at the known area, and AUROC, by method: the median, and the middle half of the images."""
    methods = tuple(truth.methods)
    names = [short(name).replace("\n", " ").replace("- lution", "lution") for name in methods]
    figure, (left, right) = chart(1000, 360, columns=2)
    served = ("path mask as served", truth.overlap, OURS)
    rows = [served, *((name, truth.methods[m].overlap, _color(m)) for name, m in zip(names, methods, strict=True))]
    _bars(left, rows, "IoU with the known pixels")
    left.axvline(BAR, color=INK, lw=1, ls=":")
    _bars(right, [(n, truth.methods[m].auroc, _color(m)) for n, m in zip(names, methods, strict=True)], "AUROC")
    return figure


def _bars(axes: Axes, rows: Sequence[tuple[str, DoubleArray, str]], title: str) -> None:
    for place, (_, values, color) in enumerate(rows):
        low, middle, high = np.nanquantile(values, (0.25, 0.5, 0.75))
        axes.barh(place, middle, color=color, height=0.62)
        axes.plot((low, high), (place, place), color=INK, lw=1.2)
        axes.text(1.02, place, f"{middle:.2f}", va="center", fontsize=TEXT, color=INK)
    axes.set(xlim=(0, 1), ylim=(len(rows) - 0.4, -0.6), title=title)
    axes.set_yticks(range(len(rows)), [name for name, _, _ in rows])
    axes.grid(axis="y", visible=False)
    axes.grid(axis="x", color=FAINT, lw=0.7)


def rankings(truth: RankingTruth) -> Figure:
    """Left: what each latent knows of each factor. Right: how often each method names the right latent first."""
    figure, (left, right) = chart(1000, 380, columns=2)
    table = truth.latents.information
    left.imshow(table.T, cmap="Greys", vmin=0, vmax=float(table.max()) * 1.4, aspect="auto")
    left.grid(visible=False)
    for latent, factor in np.ndindex(*table.shape):
        held = truth.latents.about[latent] == factor
        left.text(latent, factor, f"{table[latent, factor]:.2f}", ha="center", va="center", fontsize=TEXT,
                  color=INK if held else SOFT, weight="bold" if held else "normal")  # fmt: skip
    left.set_xticks(range(len(table)), [f"z{latent}" for latent in range(len(table))])
    left.set_yticks(range(len(FACTORS)), FACTORS)
    left.set_title("Mutual information of latent and factor, nats")
    _shares(right, truth)
    return figure


def _shares(axes: Axes, truth: RankingTruth) -> None:
    methods = list(RankingMethod)
    for place, method in enumerate(methods):
        right = truth.methods[method].right
        axes.barh(place, right, color=OURS if method is RankingMethod.SOBOL else THEIRS, height=0.6)
        axes.text(1.02, place, f"{right:.3f}", va="center", fontsize=TEXT, color=INK)
    axes.axvline(RANKING_BAR, color=INK, lw=1, ls=":")
    axes.set(xlim=(0, 1), ylim=(len(methods) - 0.4, -0.6))
    axes.set_title(f"Images where {truth.cause} is first")
    axes.set_yticks(
        range(len(methods)), [method.value.replace("_", " ").replace("sobol", "Sobol") for method in methods]
    )
    axes.grid(axis="y", visible=False)


def _color(method: str) -> str:
    return OURS if method == PATH_MASK else CONTROL if method == BRIGHTNESS else THEIRS


def short(method: str) -> str:
    """A method's name in two short lines."""
    return _BREAKS.get(method, method)
