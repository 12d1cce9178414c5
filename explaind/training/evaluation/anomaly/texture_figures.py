"""Figures of the section `texture`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from explaind.explanations.types import Detector
from explaind.figures.charts import TEXT, chart, legend
from explaind.figures.palette import CONTROL, INK, OURS, RED, SOFT, THEIRS, series
from explaind.figures.picture_grid import Picture, picture_grid
from explaind.training.evaluation.anomaly.scored import Scored
from explaind.training.evaluation.anomaly.texture import QUARTERS, Textured, spread_over

FLAGGED = (
    "Left: texture and mean squared error of each image; in-distribution grey, outliers orange; above the line MSE "
    "alone would flag them. Middle and right: share flagged, from the smoothest quarter to the most textured."
)
GALLERY = (
    "Outliers evenly through the smoothest quarter (above) and the most textured one (below), each over its "
    "reconstruction. Below: the p-value by MSE alone, then by the Mahalanobis detector; red where the detector lets "
    "the image pass as in-distribution."
)
_LABELS = {
    "mse": ("MSE alone", THEIRS, "-"),
    "one_minus_ssim": ("1 − SSIM alone", CONTROL, "-"),
    "mahalanobis": ("Mahalanobis", OURS, "-"),
    "logistic_regression": ("logistic regression", OURS, "--"),
}
_SHOWN = 12
_POINTS = 1200


def flagged(inside: Textured, outside: Textured, result: Mapping[str, Any], title: str) -> Figure:
    """result: what `texture.summary` gives, and `level`."""
    figure, panels = chart(1200, 460, columns=3)
    _scatter(panels[0], inside, outside, result["level"])
    for axes, name, words in ((panels[1], "outside", title), (panels[2], "inside", "in-distribution")):
        for score in outside.p_values:
            label, color, style = _LABELS[score]
            shares = [quarter[f"flagged_{score}"] for quarter in result[name]]
            axes.plot(range(QUARTERS), shares, style, color=color, lw=2, marker="o", ms=5, label=label)
        axes.set_xticks(range(QUARTERS), ["smoothest", "second", "third", "most\ntextured"])
        axes.set(ylim=(-0.02, 1.02), ylabel="share flagged", title=words)
    panels[2].axhline(result["level"], color=SOFT, lw=1, ls=":")
    legend(panels[2], loc="upper center")
    # Under the panel: anywhere within it, it would hide points.
    dots, names = panels[0].get_legend_handles_labels()
    figure.legend(dots, names, loc="outside lower left", ncols=2, frameon=False, fontsize=TEXT, markerscale=3)
    return figure


def gallery(scored: Scored, images: Textured) -> Figure:
    """Two rows, images and reconstructions, for each of the two quarters."""
    rows: list[list[Picture | None]] = []
    titles = []
    for quarter, title in ((0, "smoothest quarter"), (QUARTERS - 1, "most textured")):
        chosen = spread_over(images, quarter, _SHOWN)
        rows.append([Picture(pixels=scored.images[i]) for i in chosen])
        rows.append([_rebuilt(scored, images, int(i)) for i in chosen])
        titles += [title, "rebuilt"]
    return picture_grid(rows, row_titles=titles, size=76, width=1180)


def _scatter(axes: Axes, inside: Textured, outside: Textured, level: float) -> None:
    for images, color, name in ((outside, series(1), "outliers"), (inside, SOFT, "in-distribution")):
        chosen = np.random.default_rng(0).permutation(len(images.texture))[:_POINTS]
        texture = np.maximum(images.texture[chosen], 1e-4)
        axes.scatter(texture, images.mse[chosen], s=7, color=color, alpha=0.4, lw=0, label=name, rasterized=True)
    strange = np.concatenate([images.mse[images.p_values["mse"] <= level] for images in (inside, outside)])
    if len(strange):
        axes.axhline(float(strange.min()), color=INK, lw=1)
    axes.set(xscale="log", yscale="log", xlabel="texture (total variation)", ylabel="MSE", title="Texture and MSE")
    # Smooth images span less than a decade, which has but one power of ten to label; its minor ticks would overlap.
    low, high = axes.get_xlim()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 100 * low else (1,)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.yaxis.set_minor_formatter(NullFormatter())


def _rebuilt(scored: Scored, images: Textured, index: int) -> Picture:
    p_values = images.p_values["mse"][index], images.p_values["mahalanobis"][index]
    passes = not scored.verdicts[Detector.MAHALANOBIS].anomalous[index]
    return Picture(
        pixels=scored.reconstructions[index],
        caption=f"{p_values[0]:.2g}\n{p_values[1]:.2g}",
        color=RED if passes else SOFT,
    )
