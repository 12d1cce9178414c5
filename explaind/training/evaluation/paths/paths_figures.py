"""Drawings of paths: one path, correlations over many, and norms on the way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from explaind.explanations.types import DoubleArray, Interpolation
from explaind.figures.canvas import MARGIN, WIDTH, Canvas
from explaind.figures.charts import chart, legend, plain
from explaind.figures.palette import CONTROL, FAINT, INK, OURS, SOFT, THEIRS
from explaind.figures.pictures import fitted
from explaind.training.evaluation.paths.entropy_gradient import Trace
from explaind.training.evaluation.paths.path_norms import POSITIONS

_STRIP = 12
_BINS = [-1 + 0.025 * place for place in range(81)]
_CURVES = {Interpolation.SLERP: OURS, Interpolation.RADIAL: THEIRS, Interpolation.LINEAR: CONTROL}


def one_path(shown: Trace, first: str, last: str) -> Figure:
    """Images on the way above; entropy and both slopes below, each slope by its own largest."""
    count = len(shown.images)
    cell = (WIDTH - 2 * MARGIN) / _STRIP
    width, height = fitted(shown.images.shape[2:], cell - 6, 130)
    canvas = Canvas(int(height) + 440)
    canvas.text(MARGIN, 14, f"from {first} to {last}, {count} steps", 17)
    for place, step in enumerate(np.linspace(0, count - 1, _STRIP).round().astype(int)):
        canvas.image(MARGIN + place * cell + (cell - width) / 2, 46, max(width, height), shown.images[step])
    # The middle of the first picture is step 1, of the last one step n.
    axes = canvas.axes(MARGIN + cell / 2, height + 66, (_STRIP - 1) * cell, 290)
    axes.set_frame_on(True)
    plain(axes)
    _curves(axes, shown)
    return canvas.figure


def _curves(axes: Axes, shown: Trace) -> None:
    steps = np.arange(1, len(shown.entropies) + 1)
    axes.axvspan(max(shown.window[0], 1), min(shown.window[1], len(steps)), color=FAINT, alpha=0.5, lw=0)
    axes.plot(steps, shown.entropies, color=INK, lw=2, label="entropy between the two, bits")
    for values, color, name in (
        (shown.slopes, OURS, f"‖∇ probability‖, ρ {shown.correlation:.3f}"),
        (shown.logit_slopes, THEIRS, f"‖∇ difference of logits‖, ρ {shown.logit_correlation:.3f}"),
    ):
        axes.plot(steps, values / max(float(values.max()), 1e-30), color=color, lw=2, label=name)
    ticks = [1, *(len(steps) * quarter // 4 for quarter in (1, 2, 3)), len(steps)]
    axes.set(xlim=(1, len(steps)), ylim=(0, 1.03), xlabel="step", xticks=ticks, yticks=[0, 0.5, 1])
    legend(axes, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3)


def correlations(groups: Mapping[str, Sequence[Trace]], source: float) -> Figure:
    """Left: of the probability's slope with the entropy; right: of the logits'. One histogram a group of paths."""
    figure, panels = chart(1180, 380, columns=2)
    kinds = (("‖∇ probability‖", "correlation"), ("‖∇ difference of logits‖", "logit_correlation"))
    for axes, (title, name) in zip(panels, kinds, strict=True):
        least = -0.5
        for (group, traces), color in zip(groups.items(), (THEIRS, OURS), strict=True):
            values = np.array([getattr(t, name) for t in traces])
            known = values[np.isfinite(values)]
            if len(known):
                least = min(least, float(known.min()) - 0.05)
                axes.hist(
                    known, bins=_BINS, weights=np.full(len(known), 1 / len(known)),
                    color=color, alpha=0.6, label=f"{group} ({len(known)})",
                )  # fmt: skip
        axes.axvline(source, color=SOFT, lw=1.5, ls="--", label=f"the source's {source:g}")
        axes.set(xlim=(max(least, -1.0), 1), title=f"entropy and {title}", xlabel="correlation along a path")
    panels[0].set_ylabel("share of paths")
    legend(panels[0], loc="upper left")
    return figure


def norms(groups: Mapping[str, Mapping[Interpolation, DoubleArray]]) -> Figure:
    """A panel a group: median and 5 to 95 % of the norm on the way, by kind of curve."""
    figure, panels = chart(1180, 360, columns=len(groups))
    for axes, (group, ratios) in zip(panels, groups.items(), strict=True):
        for kind, rows in ratios.items():
            low, middle, high = np.quantile(rows, (0.05, 0.5, 0.95), axis=0)
            axes.fill_between(POSITIONS, low, high, color=_CURVES[kind], alpha=0.18, lw=0)
            axes.plot(POSITIONS, middle, color=_CURVES[kind], lw=2.2, label=kind.value)
        axes.set(xlim=(0, 1), title=group, xlabel="place on the path")
    low, high = min(a.get_ylim()[0] for a in panels), max(a.get_ylim()[1] for a in panels)
    for axes in panels:
        axes.set_ylim(low, high)
    panels[0].set_ylabel("norm, 1 = even")
    legend(panels[0], loc="upper left")
    return figure
