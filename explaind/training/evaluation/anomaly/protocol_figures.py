"""Figure of the section `protocol`: mean precision–recall curves and their spread."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explaind.figures.charts import TEXT, chart
from explaind.figures.palette import CONTROL, INK, OURS, THEIRS, series
from explaind.training.evaluation.anomaly.protocol import LATENTS, LOSSES, RECALL, UNFITTED, Runs

_NAMES = {
    "mse": "MSE alone",
    "one_minus_ssim": "1 − SSIM alone",
    "cosine_distance": "cosine distance alone",
    LOSSES: "losses together",
    LATENTS: "losses and latents",
    UNFITTED: "Mahalanobis",
}
_STYLES = {
    "mse": (series(4), 1.2),
    "one_minus_ssim": (series(8), 1.2),
    "cosine_distance": (series(5), 1.2),
    LOSSES: (THEIRS, 2.0),
    LATENTS: (OURS, 2.0),
    UNFITTED: (INK, 1.4),
}
_BANDS = (LOSSES, LATENTS)


class _Curves(Protocol):
    @property
    def outside(self) -> int: ...
    @property
    def same(self) -> Mapping[str, Runs]: ...
    @property
    def held_out(self) -> Mapping[str, Runs]: ...


def caption(splits: int) -> str:
    return (
        f"Precision and recall of finding outliers, mean of {splits} random divisions; bands: the middle 80 % of them "
        "for the two regressions. Dotted: a random score."
    )


def curves(scenarios: Sequence[_Curves], inside: int, kind: str) -> Figure:
    """A row for each number of outliers; left the source's protocol, right with the kind held out of the fit."""
    figure, panels = chart(1150, 430 * len(scenarios), rows=len(scenarios), columns=2)
    for row, scenario in enumerate(scenarios):
        for column, (runs, way) in enumerate(((scenario.same, "same kind"), (scenario.held_out, "kind held out"))):
            axes = panels[2 * row + column]
            axes.axhline(scenario.outside / (scenario.outside + inside), color=CONTROL, lw=1, ls=":")
            _panel(axes, runs)
            axes.set_title(f"{scenario.outside} outliers ({kind}), {way}")
    # One for all, under the panels: within them it would hide curves.
    lines, names = panels[0].get_legend_handles_labels()
    figure.legend(lines, names, loc="outside lower center", ncols=3, frameon=False, fontsize=TEXT, labelcolor=INK)
    return figure


def _panel(axes: Axes, runs: Mapping[str, Runs]) -> None:
    for name, label in _NAMES.items():
        color, width = _STYLES[name]
        each = runs[name]
        if name in _BANDS:
            low, high = np.quantile(each.precision, [0.1, 0.9], axis=0)
            axes.fill_between(RECALL, low, high, color=color, alpha=0.18, lw=0)
        axes.plot(RECALL, each.precision.mean(axis=0), color=color, lw=width, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
