"""Figures of the checks that need no known cause: randomised layers, and deletion along the path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from explaind.explanations.types import FloatArray
from explaind.figures.charts import TEXT, chart, legend
from explaind.figures.palette import CONTROL, INK, OURS, series
from explaind.figures.pictures import as_picture
from explaind.training.evaluation.truth.deletion import DIFFERENCE, METHODS, RANDOM, SHARES, Deletion
from explaind.training.evaluation.truth.pixel_maps import OTHERS, PATH_MASK, PixelMaps
from explaind.training.evaluation.truth.planted_figures import attributed, bare, short
from explaind.training.evaluation.truth.randomisation import Stage

_SHOWN = (PATH_MASK, "saliency", "integrated gradients", "guided backpropagation", "deconvolution", "occlusion")
_RANKING_NAMES = {"generated_images": "generated", "original_images": "original", "random_forest": "forest"}


def cascades(stages: Sequence[Stage]) -> Figure:
    """Likeness to the trained classifier's explanation against the number of random layers: of the signed maps, of
    the marked pixels, and of the rankings."""
    figure, axes = chart(1180, 470, columns=3)
    measures = [
        ("Rank correlation of the maps", [stage.signed for stage in stages]),
        ("IoU of the marked pixels", [stage.overlap for stage in stages]),
        ("Rank correlation of the rankings", [stage.rankings for stage in stages]),
    ]
    layers = [stage.layers for stage in stages]
    # Alike in all panels, and low enough for the lowest curve.
    drawn = [number for _, values in measures for value in values for number in value.values()]
    least = min(-0.35, float(np.nanmin(drawn)) - 0.05)
    for one, (title, values) in zip(axes, measures, strict=True):
        for place, name in enumerate(values[0]):
            label = _RANKING_NAMES.get(name, name)
            one.plot(layers, [value[name] for value in values], label=label, **_style(name, place))
        one.axhline(0, color=INK, lw=0.8)
        one.set(title=title, xlabel="random layers, from the top", ylim=(least, 1.05))
        one.set_xticks(layers)
    legend(axes[2], loc="upper right")
    lines, names = axes[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=4, frameon=False, fontsize=TEXT, labelcolor=INK)
    return figure


def cascade_gallery(image: FloatArray, maps: Sequence[PixelMaps], index: int) -> Figure:
    """A row a method, a column a stage: the maps of one image as the classifier loses its layers."""
    columns = len(maps) + 1
    figure, axes = chart(110 + 105 * columns, 50 + 108 * len(_SHOWN), rows=len(_SHOWN), columns=columns)
    for row, name in enumerate(_SHOWN):
        line = axes[row * columns : (row + 1) * columns]
        bare(line[0])
        line[0].imshow(as_picture(image), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        line[0].set_ylabel(short(name), fontsize=TEXT, color=INK)
        for one, stage in zip(line[1:], maps, strict=True):
            attributed(one, image, stage.maps[name][index])
    titles = ["image", "trained", *(f"{count} random" for count in range(1, len(maps)))]
    for one, title in zip(axes, titles, strict=False):
        one.set_title(title, fontsize=TEXT, color=INK)
    return figure


def deletions(result: Deletion) -> Figure:
    """Mean p_self against the share of pixels that have gone over to the counterpart; areas in the legend."""
    figure, (axes,) = chart(1000, 460)
    ordered = sorted(METHODS, key=lambda name: float(np.mean(result.areas[name])))
    for name in ordered:
        label = f"{name}, {np.mean(result.areas[name]):.3f}"
        axes.plot(SHARES, result.curves[name].mean(axis=0), label=label, **_style(name, METHODS.index(name)))
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="share of pixels gone over to the counterpart", ylabel="mean p(self)")
    axes.legend(frameon=False, fontsize=TEXT, labelcolor=INK, title="area under the curve", loc="upper left",
                bbox_to_anchor=(1.01, 1.0), title_fontsize=TEXT, alignment="left")  # fmt: skip
    return figure


def _style(name: str, place: int) -> dict[str, Any]:
    if name == PATH_MASK:
        return {"color": OURS, "lw": 2.6, "zorder": 3}
    if name in (RANDOM, DIFFERENCE):
        return {"color": CONTROL, "lw": 1.8, "ls": "--" if name == RANDOM else ":"}
    return {"color": series(OTHERS.index(name) if name in OTHERS else place), "lw": 1.5}
