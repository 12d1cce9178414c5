"""Scores of the study on dSprites, network by network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explaind.figures.charts import TEXT, chart
from explaind.figures.palette import INK, SOFT, series
from explaind.training.studies.sprite_fits import OBJECTIVES

TITLES = {"beta": "β-VAE", "beta_tc": "β-TCVAE"}
PANELS = {"mig": "MIG", "sap": "SAP", "factor_vae": "FactorVAE score", "disentanglement": "DCI disentanglement"}


def scores_by_seed(results: Sequence[Mapping[str, Any]], beta: float) -> Figure:
    """One panel a score: a point a network, the two of one seed joined, a bar at each objective's mean."""
    chosen = [result for result in results if result["beta"] == beta]
    figure, panels = chart(1150, 360, columns=len(PANELS))
    for axes, (key, title) in zip(panels, PANELS.items(), strict=True):
        _draw(axes, [(r["objective"], r["seed"], score(r, key)) for r in chosen])
        axes.set_title(title, loc="left")
    return figure


def score(result: Mapping[str, Any], key: str) -> float:
    """key: of PANELS, or another figure of the network or of its DCI."""
    return float(result["dci"][key] if key in result["dci"] else result[key])


def _draw(axes: Axes, points: Sequence[tuple[str, int, float]]) -> None:
    for place, name in enumerate(OBJECTIVES):
        values = [value for objective, _, value in points if objective == name]
        if values:
            axes.scatter([place] * len(values), values, s=46, color=series(place), zorder=3)
            axes.hlines(float(np.mean(values)), place - 0.22, place + 0.22, color=INK, lw=2, zorder=2)
    for seed in {seed for _, seed, _ in points}:
        pair = {objective: value for objective, other, value in points if other == seed}
        if len(pair) == len(OBJECTIVES):
            axes.plot(range(len(OBJECTIVES)), [pair[name] for name in OBJECTIVES], color=SOFT, lw=1, zorder=1)
    axes.set_xticks(range(len(OBJECTIVES)), [TITLES[name] for name in OBJECTIVES], fontsize=TEXT, color=INK)
    axes.set_xlim(-0.5, len(OBJECTIVES) - 0.5)
    axes.set_ylim(bottom=0)
