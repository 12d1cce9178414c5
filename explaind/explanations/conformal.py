"""Conformal p-values against held-out scores: false alarms at level α are at most α by construction."""

from __future__ import annotations

import math

import numpy as np

from explaind.errors import ParameterOutOfRange
from explaind.explanations.types import DoubleArray


def p_values(scores: DoubleArray, calibration: DoubleArray) -> DoubleArray:
    """scores (B,), calibration (n,) rising → (1 + #{calibration ≥ score}) / (n + 1), each in [1/(n+1), 1].

    Ties count against the score's strangeness, which keeps the guarantee. (DESIGN §3.2)
    """
    count = len(calibration) + 1.0
    return np.asarray((count - calibration.searchsorted(scores, side="left")) / count)


def threshold(calibration: DoubleArray, level: float) -> float:
    """The score at which the p-value falls to `level`: scores above it are anomalous, and no others.

    −∞ where the level is so high that every score is.
    """
    allowed = math.floor(level * (len(calibration) + 1) + 1e-9) - 1
    return float(calibration[len(calibration) - 1 - allowed]) if allowed < len(calibration) else -math.inf


def check_level(level: float, calibration: DoubleArray, field: str = "anomaly_score.level") -> None:
    """Raises ParameterOutOfRange for a level outside [1/(n + 1), 1]: below it nothing could ever be anomalous."""
    lowest = 1.0 / (len(calibration) + 1)
    if not lowest * (1 - 1e-9) <= level <= 1.0:
        raise ParameterOutOfRange(
            f"{field} is {level:g}; with {len(calibration)} calibration images it must be from {lowest:.3g} to 1.",
            field=field,
        )
