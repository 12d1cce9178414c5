"""The path as a strip: from the other image to this one, and where the decision turns."""

from __future__ import annotations

import numpy as np

from explaind.cli import figure_words as words
from explaind.figures.canvas import MARGIN, WIDTH, Canvas
from explaind.figures.palette import FAINT, INK, RED, SOFT
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client import to_array

COUNT, GAP = 8, 16
SIZE = (WIDTH - 2 * MARGIN - (COUNT - 1) * GAP) / COUNT
CURVE_HEIGHT = 56
PATH_HEIGHT = 30 + SIZE + 12 + CURVE_HEIGHT + 46


def draw_path(canvas: Canvas, y: float, response: service_pb.ExplainResponse) -> None:
    """Eight images evenly spaced, and under them how far the probability of the explained class has come."""
    mask = response.path_mask
    path = np.asarray(to_array(mask.path), dtype=np.float32)
    self_name, other_name = (words.class_name(response, index) for index in (mask.self_class, mask.other_class))
    edge = canvas.text(MARGIN, y, f"From {other_name} to {self_name}", 18, weight="bold")
    canvas.text(edge + 12, y + 3, f"step by step; the curve is how much likelier {self_name} has become", 15, SOFT)
    for place, index in enumerate(np.linspace(0, len(path) - 1, COUNT).round().astype(int)):
        canvas.image(MARGIN + place * (SIZE + GAP), y + 30, SIZE, path[index], middle=True)
    _draw_curve(canvas, y + 30 + SIZE + 12, response)


def _draw_curve(canvas: Canvas, y: float, response: service_pb.ExplainResponse) -> None:
    """Runs from the middle of the first picture to the middle of the last, as the path does."""
    mask = response.path_mask
    steps = len(mask.entropies)
    gained = np.concatenate([[0.0], np.cumsum(mask.gains)])
    axes = canvas.axes(MARGIN + SIZE / 2, y, WIDTH - 2 * MARGIN - SIZE, CURVE_HEIGHT)
    axes.set_xlim(1, max(steps, 2))
    axes.set_ylim(min(-0.04, float(gained.min())), max(1.04, float(gained.max())))
    low, high = (mask.entropy_mean_step + sign * mask.entropy_half_width for sign in (-1, 1))
    axes.axvspan(max(low, 1), min(high, steps), color=FAINT, alpha=0.6, lw=0)
    positions = np.arange(1, len(gained) + 1)
    axes.plot(positions, gained, color=RED, lw=2, clip_on=False, solid_capstyle="round")
    axes.axhline(0, color=FAINT, lw=1, zorder=0)
    canvas.text(MARGIN + SIZE / 2 - 10, y + CURVE_HEIGHT - 12, "0", 13, SOFT, ha="right")
    edge = f"{mask.probability_change:+.2f}"
    canvas.text(WIDTH - MARGIN - SIZE / 2 + 10, y - 4, edge, 14, INK, weight="bold")
    center = (min(max(low, 1), steps) + min(max(high, 1), steps)) / 2
    x = MARGIN + SIZE / 2 + (center - 1) / max(steps - 1, 1) * (WIDTH - 2 * MARGIN - SIZE)
    canvas.text(x, y + CURVE_HEIGHT + 5, "the decision turns here", 13, SOFT, ha="center")
