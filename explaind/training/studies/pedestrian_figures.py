"""Figures of the study of [LR]'s VAEs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explaind.explanations.types import FloatArray
from explaind.figures.palette import FAINT, INK, OURS, PAPER, SOFT, THEIRS

Results = Mapping[str, Mapping[str, Any]]


def against_the_source(results: Results) -> Figure:
    """Bars, ours beside the source's: NMAE, and used latents of those there are."""
    figure = Figure(figsize=(13, 4.4), facecolor=PAPER, layout="constrained")
    errors, latents = figure.subplots(1, 2)
    _pairs(errors, results, "nmae", "{:.3f}")
    errors.set_title("NMAE on unseen images", color=INK, fontsize=12)
    _pairs(latents, results, "used_latents", "{:.0f}")
    latents.set_title("latents in use; the line: of how many", color=INK, fontsize=12)
    for place, result in enumerate(results.values()):
        latents.plot((place - 0.42, place + 0.42), (result["latents"],) * 2, color=SOFT, lw=1.5)
    figure.legend(*errors.get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False, fontsize=11)
    return figure


def _pairs(axes: Axes, results: Results, key: str, form: str) -> None:
    places = np.arange(len(results))
    ours = [float(result[key]) for result in results.values()]
    theirs = [float(result["source"][key]) for result in results.values()]
    for values, shift, color, label in ((ours, -0.21, OURS, "ours"), (theirs, 0.21, THEIRS, "[LR]")):
        bars = axes.bar(places + shift, values, 0.4, color=color, label=label)
        axes.bar_label(bars, [form.format(value) for value in values], fontsize=8, color=INK, padding=1)
    names = [name.replace(" ", "\n") for name in results]
    labels = [f"{name}\nβ {result['beta']:g}" for name, result in zip(names, results.values(), strict=True)]
    axes.set_xticks(places, labels, fontsize=10, color=INK)
    axes.tick_params(axis="y", labelcolor=SOFT, labelsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color=FAINT)
    axes.margins(y=0.12)


def reconstructions(images: FloatArray, rebuilt: Mapping[str, FloatArray], notes: Sequence[str]) -> Figure:
    """images (n, C, H, W): the first row; below it each model's reconstructions, its name and note at the left."""
    rows = [
        ("test image", "", images),
        *((name, note, rebuilt[name]) for name, note in zip(rebuilt, notes, strict=True)),
    ]
    figure = Figure(figsize=(5.6, 0.92 * len(rows)), facecolor=PAPER)
    grid = figure.add_gridspec(
        len(rows), len(images), left=0.23, right=0.995, top=0.995, bottom=0.005, wspace=0.06, hspace=0.06
    )
    for line, (name, note, pictures) in enumerate(rows):
        for column, picture in enumerate(pictures):
            axes = figure.add_subplot(grid[line, column])
            axes.imshow(_turned(picture), cmap="gray", vmin=0, vmax=1, aspect=1.0, interpolation="antialiased")
            axes.set_axis_off()
        middle = 1 - (line + 0.5) / len(rows)
        figure.text(0.008, middle, f"{name}\n{note}".strip(), va="center", fontsize=10, color=INK, linespacing=1.3)
    return figure


def _turned(picture: FloatArray) -> FloatArray:
    """(C, H, W) → (H, W, 3), or (H, W) where it is grey."""
    clipped = np.clip(picture, 0, 1)
    return clipped[0] if len(clipped) == 1 else np.moveaxis(clipped, 0, -1)
