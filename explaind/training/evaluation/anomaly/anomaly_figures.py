"""Figures of the section `anomaly`."""

from __future__ import annotations

from textwrap import fill

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from explaind.explanations.types import Detector, DoubleArray
from explaind.figures.charts import TEXT, chart, legend
from explaind.figures.palette import INK, SOFT, series
from explaind.figures.picture_grid import Picture, picture_grid
from explaind.training.evaluation.anomaly.measured import Outliers
from explaind.training.evaluation.anomaly.scored import Scored, Verdicts
from explaind.training.evaluation.anomaly.separation import auroc, roc

HISTOGRAMS = (
    "Mahalanobis distance of in-distribution images (grey, the same ones in every panel) and of each kind of outlier "
    "(orange). The line is the threshold: what lies to the right of it is called anomalous."
)
RATES = (
    "Left and middle: how many of each kind of outlier are found, at which share of false alarms, by each detector. "
    "Right: share of in-distribution images with a p-value up to each level; on the diagonal where p-values are valid."
)
HARDEST = (
    "The images that are hardest to tell: in-distribution images with the smallest p-values, and of each kind the "
    "outliers with the largest. Below each image its reconstruction and its p-value (Mahalanobis)."
)
_COLUMNS = 3
_SHOWN = 10
_LINE = 40  # characters that fit above a histogram
_LONG = 24  # a name so long leaves room for three in a legend's line


def histograms(inside: Scored, outliers: tuple[Outliers, ...]) -> Figure:
    rows = -(-len(outliers) // _COLUMNS)
    figure, panels = chart(1150, 200 * rows, rows=rows, columns=_COLUMNS)
    own = inside.verdicts[Detector.MAHALANOBIS]
    everything = [own.scores, *(o.scored.verdicts[Detector.MAHALANOBIS].scores for o in outliers)]
    bins = _log_bins(np.concatenate(everything))
    threshold = _threshold(own)
    for axes, each in zip(panels, outliers, strict=False):
        outside = each.scored.verdicts[Detector.MAHALANOBIS].scores
        for scores, color in ((own.scores, SOFT), (outside, series(1))):
            axes.hist(scores, bins, weights=np.full(len(scores), 1 / len(scores)), color=color, alpha=0.7)
        axes.axvline(threshold, color=INK, lw=1)
        axes.set(
            xscale="log", yticks=[], title=fill(f"{each.kind.title}, AUROC {auroc(own.scores, outside):.3f}", _LINE)
        )
        axes.grid(visible=False)
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_minor_formatter(NullFormatter())
    figure.supxlabel("Mahalanobis distance", color=INK, fontsize=TEXT)
    for axes in panels[len(outliers) :]:
        axes.set_visible(False)
    return figure


def rates(inside: Scored, outliers: tuple[Outliers, ...]) -> Figure:
    figure, panels = chart(1200, 500, columns=3)
    for axes, detector, title in zip(panels, Detector, ("Mahalanobis", "logistic regression"), strict=False):
        if detector in inside.verdicts:
            _roc_panel(axes, inside, outliers, detector)
        else:
            axes.text(0.5, 0.5, "no known outliers in the recipe", ha="center", color=SOFT, fontsize=TEXT)
        axes.set_title(title)
    # Under the panels: within them it would hide curves.
    lines, names = panels[0].get_legend_handles_labels()
    columns = 3 if max(map(len, names), default=0) > _LONG else 5
    figure.legend(lines, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=TEXT, labelcolor=INK)
    _p_value_panel(panels[2], inside)
    return figure


def hardest(inside: Scored, outliers: tuple[Outliers, ...]) -> Figure:
    """Two rows a group: images and their reconstructions."""
    rows, titles = _group(inside, "in-distribution", largest=False)
    for each in outliers:
        more, names = _group(each.scored, each.kind.title, largest=True)
        rows, titles = rows + more, titles + names
    return picture_grid(rows, row_titles=titles, size=60, width=1150)


def _group(scored: Scored, title: str, *, largest: bool) -> tuple[list[list[Picture | None]], list[str]]:
    verdicts = scored.verdicts[Detector.MAHALANOBIS]
    order = np.argsort(verdicts.scores if largest else -verdicts.scores, kind="stable")[:_SHOWN]
    images: list[Picture | None] = [Picture(pixels=scored.images[i]) for i in order]
    rebuilt: list[Picture | None] = [
        Picture(pixels=scored.reconstructions[i], caption=f"{verdicts.p_values[i]:.2g}") for i in order
    ]
    return [images, rebuilt], [title, "rebuilt, p-value"]


def _roc_panel(axes: Axes, inside: Scored, outliers: tuple[Outliers, ...], detector: Detector) -> None:
    for index, each in enumerate(outliers):
        false, true = roc(inside.verdicts[detector].scores, each.scored.verdicts[detector].scores)
        # On a logarithmic scale there is no 0: the curve starts at one false alarm.
        least = 1 / len(inside)
        style = "-" if each.kind.real else "--"
        axes.plot(np.maximum(false, least), true, style, color=series(index), lw=1.6, label=each.kind.title)
    axes.set(xscale="log", xlabel="false alarms", ylabel="outliers found", ylim=(0, 1.02), xlim=(1 / len(inside), 1))


def _p_value_panel(axes: Axes, inside: Scored) -> None:
    levels = np.linspace(0, 1, 201)
    axes.plot([0, 1], [0, 1], color=SOFT, lw=1, ls=":")
    styles = {Detector.MAHALANOBIS: ("-", "Mahalanobis"), Detector.LOGISTIC_REGRESSION: ("--", "logistic regression")}
    for detector, verdicts in inside.verdicts.items():
        style, name = styles[detector]
        shares = [np.mean(verdicts.p_values <= level) for level in levels]
        axes.plot(levels, shares, style, color=INK, lw=1.6, label=name)
    axes.set(xlabel="p-value", ylabel="in-distribution images up to it", title="Are the p-values valid?")
    legend(axes, loc="lower right")


def _log_bins(scores: DoubleArray) -> list[float]:
    low, high = np.quantile(scores, [0.001, 0.999])
    return [float(edge) for edge in np.geomspace(max(low, 1e-3), max(high, low * 1.01, 2e-3), 60)]


def _threshold(verdicts: Verdicts) -> float:
    """Between the largest score that is not anomalous and the least that is."""
    passed = verdicts.scores[~verdicts.anomalous]
    return float(passed.max()) if len(passed) else float(verdicts.scores.min())
