"""Drawings of rankings: methods side by side, how far they agree, and the forest's fidelity by question."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from explaind.figures.charts import TEXT, chart, legend
from explaind.figures.palette import CONTROL, FAINT, INK, OURS, SOFT, THEIRS
from explaind.training.evaluation.rankings.forest_questions import NOT_EASY, Question
from explaind.training.evaluation.rankings.global_rankings import Column

SOURCE_FIDELITY = 0.984
_FEW = 8


def side_by_side(columns: Mapping[str, Column], used: Sequence[int], names: Sequence[str]) -> Figure:
    """A panel a method, a bar a latent, each method by its own largest; latents as the first method orders them."""
    first = next(iter(columns.values())).importance
    order = sorted(used, key=lambda d: first[d])
    figure, panels = chart(1180, 110 + 27 * len(order), columns=len(columns))
    for axes, column in zip(panels, columns.values(), strict=True):
        values = column.importance[order] / max(float(column.importance[list(used)].max()), 1e-12)
        axes.barh(np.arange(len(order)), values, color=THEIRS if column.of_source else OURS, height=0.72)
        axes.set(xlim=(min(0.0, float(values.min())), 1.04), xticks=[0, 1], ylim=(-0.6, len(order) - 0.4))
        axes.set_yticks(np.arange(len(order)), [names[d] for d in order] if axes is panels[0] else [])
        axes.set_title(column.title.replace(", ", ",\n").replace(" images", "\nimages"), fontsize=TEXT - 0.5)
        axes.grid(visible=False)
    return figure


def order_agreement(
    rows: Sequence[tuple[str, tuple[float, float, float]]], overall: Sequence[float | None], images: int
) -> Figure:
    """rows: (pair of methods, median and quartiles of Spearman's ρ over images); overall: ρ of the global rankings."""
    figure, (axes,) = chart(900, 110 + 44 * len(rows))
    places = np.arange(len(rows))[::-1]
    for place, (_, (middle, low, high)), whole in zip(places, rows, overall, strict=True):
        axes.plot([low, high], [place, place], color=OURS, lw=5, solid_capstyle="round", alpha=0.45)
        axes.plot([middle], [place], "o", color=OURS, ms=9, label="one image" if place == 0 else None)
        if whole is not None:
            axes.plot([whole], [place], "D", color=INK, ms=7, label="all images" if place == 0 else None)
    axes.axvline(0, color=FAINT, lw=1)
    axes.set(xlim=(-1.03, 1.03), ylim=(-0.6, len(rows) - 0.4))
    axes.set_yticks(places, [name for name, _ in rows])
    axes.set_xlabel(
        f"Spearman's ρ between two rankings:\nmedian and quartiles of {images} images, and of the global ones"
    )
    axes.grid(visible=False)
    legend(axes, loc="lower left")
    return figure


def fidelities(questions: Sequence[Question], names: Sequence[str]) -> Figure:
    """A column a question: the forests' fidelity above, and below what a constant answer would score."""
    ordered = sorted(questions, key=lambda question: -question.fidelity)
    figure, (axes, below) = chart(1180, 520, rows=2)
    places = np.arange(len(ordered))
    axes.axhline(SOURCE_FIDELITY, color=THEIRS, lw=1.5, label=f"the source's {SOURCE_FIDELITY:g}, two classes")
    axes.plot(places, [q.fidelity for q in ordered], "o", color=OURS, ms=7, label="forest without bound")
    axes.plot(places, [q.served_fidelity for q in ordered], "_", color=INK, ms=11, mew=2, label="as small as served")
    least = min(SOURCE_FIDELITY, *(min(q.fidelity, q.served_fidelity) for q in ordered))
    axes.set(ylim=(least - max(0.005, (1 - least) / 20), 1.002), ylabel="fidelity", xticks=[])
    legend(axes, loc="lower left", ncols=3, bbox_to_anchor=(0, 1.0))
    below.bar(places, [q.majority for q in ordered], color=CONTROL, width=0.62)
    below.axhline(NOT_EASY, color=SOFT, lw=1, ls=":")
    below.set(ylim=(0, 1), ylabel="majority rate")
    upright = len(ordered) > 8
    labels = [(" or " if upright else " or\n").join(names[k] for k in q.classes) for q in ordered]
    below.set_xticks(places, labels, rotation=90 if upright else 0)
    room = max(0.0, (_FEW - len(ordered)) / 2)  # a single question's bar would be as wide as the page
    for panel in (axes, below):
        panel.set_xlim(-0.7 - room, len(ordered) - 0.3 + room)
    return figure
