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


def norms_by_class(
    means: DoubleArray, samples: DoubleArray, classes: IntArray, names: Sequence[str], targets: DoubleArray
) -> Figure:
    """Norms of mean codes and of sampled ones (B,), classes (B,), targets (K,): a row a class, a scale a column."""
    shown = [index for index in range(len(names)) if np.any(classes == index)]
    figure, panels = chart(1100, 80 + 58 * len(shown), rows=len(shown), columns=2)
    for column, (norms, title) in enumerate(((means, "norm of the mean code"), (samples, "norm of a sampled code"))):
        own = panels[column::2]
        low, high = float(norms.min()), float(norms.max())
        for axes, index in zip(own, shown, strict=True):
            _draw_norms(axes, norms[classes == index], (low, high), series(index))
            if axes is not own[-1]:
                axes.set_xticklabels([])
        own[-1].set_xlabel(title, color=SOFT)
    for axes, index in zip(panels[::2], shown, strict=True):
        axes.set_ylabel(names[index], rotation=0, ha="right", va="center", fontsize=TEXT)
    for axes, index in zip(panels[1::2], shown, strict=True):
        axes.axvline(float(targets[index]), color=INK, lw=1.6)
    return figure


def _draw_norms(axes: Axes, norms: DoubleArray, limits: tuple[float, float], color: str) -> None:
    axes.hist(norms, bins=np.linspace(*limits, 40).tolist(), color=color, density=True)
    axes.set(yticks=[], xlim=limits)
    axes.spines["left"].set_visible(False)
