"""Drawings of a space: information by latent, traversals, norms of codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explaind.explanations.types import DoubleArray, FloatArray, IntArray, RankingReference
from explaind.figures.charts import TEXT, chart
from explaind.figures.palette import CONTROL, INK, OURS, SOFT, series
from explaind.figures.picture_grid import picture_grid, pictures

_NAMED_BARS = 40
_PICTURE, _SMALL, _MANY = 84, 60, 14


def information(spaces: Mapping[str, tuple[RankingReference, Sequence[str]]]) -> Figure:
    """By space, its statistics and its latents' names → one panel each of KL by latent, falling."""
    figure, panels = chart(1100, 340 * len(spaces), rows=len(spaces))
    for axes, (name, (reference, names)) in zip(panels, spaces.items(), strict=True):
        _draw_information(axes, name, reference, names)
    return figure


def _draw_information(axes: Axes, name: str, reference: RankingReference, names: Sequence[str]) -> None:
    order = np.argsort(-reference.mean_kl, kind="stable")[:_NAMED_BARS]
    colors = [OURS if reference.used[d] else CONTROL for d in order]
    axes.bar(np.arange(len(order)), reference.mean_kl[order], color=colors, width=0.7)
    turned: dict[str, Any] = {"rotation": 90} if len(order) > 14 else {"rotation": 30, "ha": "right"}
    axes.set_xticks(np.arange(len(order)), [names[d] for d in order], **turned)
    axes.set_ylabel("KL, nats")
    left_out = len(reference.used) - len(order)
    more = f", the {len(order)} largest shown" if left_out else ""
    axes.set_title(f"{name}: {reference.used.sum()} of {len(reference.used)} latents used{more}", loc="left")


def traversal_grid(images: FloatArray, names: Sequence[str], values: DoubleArray) -> Figure:
    """images (n, S, C, H, W) of n latents at S values."""
    titles = [f"{value:.1f}".replace("-", "−") for value in values]
    size = _SMALL if len(images) > _MANY else _PICTURE
    return picture_grid([pictures(row) for row in images], row_titles=names, column_titles=titles, size=size)


def norms_by_class(norms: DoubleArray, classes: IntArray, names: Sequence[str], targets: DoubleArray) -> Figure:
    """norms, classes (B,); targets (K,): a row for each class, all on one scale."""
    shown = [index for index in range(len(names)) if np.any(classes == index)]
    figure, panels = chart(900, 60 + 58 * len(shown), rows=len(shown))
    low, high = float(min(norms.min(), targets.min())), float(max(norms.max(), targets.max()))
    bins = np.linspace(low, high, 40)
    for axes, index in zip(panels, shown, strict=True):
        axes.hist(norms[classes == index], bins=bins.tolist(), color=series(index), density=True)
        axes.axvline(float(targets[index]), color=INK, lw=1.6)
        axes.set(yticks=[], xlim=(low, high))
        axes.spines["left"].set_visible(False)
        _name_row(axes, names[index])
        if axes is not panels[-1]:
            axes.set_xticklabels([])
    panels[-1].set_xlabel("norm of the code", color=SOFT)
    return figure


def _name_row(axes: Any, name: str) -> None:
    axes.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=TEXT)
