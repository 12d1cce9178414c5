"""Is the image like the training data: the p-value on a line, and what made it strange."""

from __future__ import annotations

import math

from explaind.cli import figure_words as words
from explaind.figures.canvas import Canvas
from explaind.figures.palette import FAINT, GREEN, INK, RED, SOFT
from explaind.v1 import explanation_pb2 as pb

COUNT = 4
LOWEST = 1e-4
BAR = 110
FAR = 3.0
"""Deviations from the mean that call for red."""


def anomaly_height(score: pb.AnomalyScore) -> float:
    return 236 + 34 * min(len(score.contributions), COUNT)


def draw_anomaly(canvas: Canvas, x: float, y: float, width: float, score: pb.AnomalyScore) -> None:
    color = RED if score.anomalous else GREEN
    canvas.text(x, y, "Like the training data?", 18, weight="bold")
    canvas.text(x, y + 32, f"p = {words.p_value(score.p_value)}", 34, color, weight="bold")
    below = canvas.wrapped(x, y + 80, words.anomaly_sentence(score), 14, width, SOFT)
    _draw_line(canvas, x, below + 16, width, score, color)
    _draw_contributions(canvas, x, below + 66, width, score)


def _draw_line(canvas: Canvas, x: float, y: float, width: float, score: pb.AnomalyScore, color: str) -> None:
    """p-values on a logarithmic line, strange on the left."""
    canvas.box(x, y + 5, width, 6, FAINT)
    place = 1 - math.log10(max(score.p_value, LOWEST)) / math.log10(LOWEST)
    axes = canvas.axes(x, y - 2, width, 20)
    axes.set_xlim(0, width)
    axes.set_ylim(0, 20)
    axes.plot([min(max(place, 0), 1) * width], [10], "o", color=color, ms=11, clip_on=False)
    canvas.text(x, y + 21, "strange", 13, SOFT)
    canvas.text(x + width, y + 21, "usual", 13, SOFT, ha="right")


def _draw_contributions(canvas: Canvas, x: float, y: float, width: float, score: pb.AnomalyScore) -> None:
    """The features with the largest share of the score, by how far they are from usual."""
    parts = score.contributions[:COUNT]
    full = max(FAR, *(abs(part.standardized_value) for part in parts)) if parts else FAR
    canvas.text(x, y, "How far from usual, in deviations", 14, INK)
    for place, part in enumerate(parts):
        top, value = y + 30 + place * 34, part.standardized_value
        canvas.text(x, top, words.feature(part.feature), 14, SOFT)
        room = width - BAR - 62
        canvas.box(x + BAR + 8, top + 3, room, 12, FAINT)
        canvas.box(x + BAR + 8, top + 3, max(abs(value) / full * room, 1), 12, RED if abs(value) > FAR else SOFT)
        canvas.text(x + width, top, f"{value:+.1f}", 14, SOFT, ha="right")
