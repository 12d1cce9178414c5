"""[AN]'s failure case: smooth images rebuild well whatever they show, textured ones badly. Arrays in, figures out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from explaind.explanations import conformal
from explaind.explanations.types import Detector, DoubleArray, FloatArray
from explaind.training.evaluation.anomaly.fitting_in import Window, cropped
from explaind.training.evaluation.anomaly.scored import Scored
from explaind.training.evaluation.anomaly.separation import auroc

QUARTERS = 4
MSE, SSIM = "mse", "one_minus_ssim"
ALONE = (MSE, SSIM)
"""Losses that are also tried as scores of their own."""


@dataclass(frozen=True, slots=True, eq=False)
class Textured:
    """texture, mse (B,); p_values: by score, (B,) each. quarter (B,): 0 the smoothest of these images, 3 the most
    textured."""

    texture: DoubleArray
    mse: DoubleArray
    p_values: Mapping[str, DoubleArray]
    quarter: NDArray[np.int64]


def total_variation(images: FloatArray, window: Window) -> DoubleArray:
    """images (B, C, H, W) → mean |difference| of neighbouring pixels inside the window, both ways: (B,). 0: flat."""
    inside = cropped(window, images).astype(np.float64)
    rows = np.abs(np.diff(inside, axis=2)).mean(axis=(1, 2, 3))
    columns = np.abs(np.diff(inside, axis=3)).mean(axis=(1, 2, 3))
    return np.asarray(rows + columns)


def textured(scored: Scored, window: Window, calibration: Scored) -> Textured:
    """calibration: in-distribution images, for the p-values of single losses."""
    texture = total_variation(scored.images, window)
    p_values = {name: conformal.p_values(scored.losses[name], np.sort(calibration.losses[name])) for name in ALONE} | {
        detector.value: verdicts.p_values for detector, verdicts in scored.verdicts.items()
    }
    ranks = np.argsort(np.argsort(texture, kind="stable"), kind="stable")
    return Textured(texture, scored.losses[MSE], p_values, ranks * QUARTERS // len(texture))


def by_quarter(images: Textured, level: float) -> list[dict[str, float]]:
    """From the smoothest quarter to the most textured: how many, median texture and MSE, share with a p-value of at
    most `level` by each score."""
    rows = []
    for quarter in range(QUARTERS):
        members = images.quarter == quarter
        flagged = {f"flagged_{n}": float(np.mean(p[members] <= level)) for n, p in images.p_values.items()}
        rows.append(
            {
                "images": float(members.sum()),
                "median_texture": float(np.median(images.texture[members])),
                "median_mse": float(np.median(images.mse[members])),
                **flagged,
            }
        )
    return rows


def summary(inside: Textured, outside: Textured, level: float) -> dict[str, object]:
    """What evaluation.json keeps. Correlations are Spearman's, of texture with MSE and with each p-value."""
    return {
        "inside_images": len(inside.texture),
        "outside_images": len(outside.texture),
        "mse_correlation": {"inside": _correlation(inside.mse, inside), "outside": _correlation(outside.mse, outside)},
        "p_value_correlation": {
            name: {"inside": _correlation(inside.p_values[name], inside), "outside": _correlation(p, outside)}
            for name, p in outside.p_values.items()
        },
        "smoother_than_half_inside": float(np.mean(outside.texture < np.median(inside.texture))),
        "mse_auroc_by_quarter": [
            auroc(inside.mse, outside.mse[outside.quarter == quarter]) for quarter in range(QUARTERS)
        ],
        "inside": by_quarter(inside, level),
        "outside": by_quarter(outside, level),
    }


def passing(images: Textured, score: str, level: float) -> float:
    """Share of the smoothest quarter that the score lets pass."""
    smooth = images.p_values[score][images.quarter == 0]
    return float(np.mean(smooth > level))


def spread_over(images: Textured, quarter: int, count: int) -> NDArray[np.int64]:
    """At most `count` images of a quarter, evenly through it, smoothest first."""
    members = np.flatnonzero(images.quarter == quarter)
    ordered = members[np.argsort(images.texture[members], kind="stable")]
    places = np.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().astype(np.int64)
    return np.asarray(ordered[places], np.int64)


def detector_names(images: Textured) -> tuple[str, ...]:
    """Of the served detectors that the bundle has."""
    return tuple(detector.value for detector in Detector if detector.value in images.p_values)


def _correlation(values: DoubleArray, images: Textured) -> float:
    """NaN where one of them is constant."""
    if np.ptp(values) == 0 or np.ptp(images.texture) == 0:
        return float("nan")
    return float(spearmanr(images.texture, values).statistic)
