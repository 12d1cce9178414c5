"""The factors that drive the decision: a bar each, and what turning the factor does to the image."""

from __future__ import annotations

import numpy as np

from explaind.cli import figure_words as words
from explaind.cli.figure_strip import Strip, draw_label
from explaind.figures.canvas import MARGIN, Canvas
from explaind.figures.palette import BLUE, FAINT, INK, RED, SOFT
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client import to_array

COUNT = 5
ROW, HEADING = 80, 56
LABEL_WIDTH, BAR_WIDTH, STRIP_X = 158, 90, 268
LATENTS_WIDTH = 788
REACH = 3.0
"""Traversals run from −3 to 3 in a latent's own units."""


def latents_height(ranking: pb.LatentRanking) -> float:
    return HEADING + ROW * min(len(ranking.latents), COUNT) + 30


def draw_latents(canvas: Canvas, y: float, response: service_pb.ExplainResponse) -> None:
    """The top five latents by importance; red pushes towards the class as the factor grows, blue away from it."""
    ranking = response.latent_ranking
    target = words.class_name(response, ranking.target_class)
    canvas.text(MARGIN, y, f"What drives {target}", 18, weight="bold")
    canvas.text(MARGIN, y + 27, f"importance: {words.measure(ranking)}", 14, SOFT)
    latents = ranking.latents[:COUNT]
    if any(latent.HasField("traversal") for latent in latents):
        _draw_scale(canvas, y + 27)
    top = max((abs(latent.importance) for latent in latents), default=1.0) or 1.0
    for place, latent in enumerate(latents):
        _draw_latent(canvas, y + HEADING + place * ROW, latent, target, abs(latent.importance) / top)
    canvas.text(MARGIN, y + HEADING + len(latents) * ROW + 2, _legend(ranking, target), 13, SOFT)


def _legend(ranking: pb.LatentRanking, target: str) -> str:
    if any(latent.HasField("traversal") for latent in ranking.latents):
        return f"▲ this image    grey bars under the pictures: probability of {target} there"
    return ""


def _draw_scale(canvas: Canvas, y: float) -> None:
    width = LATENTS_WIDTH - STRIP_X
    for place, text in ((0.0, "less"), (1.0, "more")):
        canvas.text(MARGIN + STRIP_X + place * width, y, text, 14, SOFT, ha="left" if place == 0 else "right")
    canvas.text(MARGIN + STRIP_X + width / 2, y, "the image as this factor changes", 14, SOFT, ha="center")


def _draw_latent(canvas: Canvas, y: float, latent: pb.RankedLatent, target: str, share: float) -> None:
    color = RED if latent.direction > 0 else BLUE if latent.direction < 0 else SOFT
    below = draw_label(canvas, y, latent.label, LABEL_WIDTH - 12)
    canvas.text(MARGIN, below, _direction(latent, target), 13, color)
    canvas.box(MARGIN + LABEL_WIDTH, y + 14, BAR_WIDTH, 16, FAINT)
    canvas.box(MARGIN + LABEL_WIDTH, y + 14, max(share * BAR_WIDTH, 1), 16, color)
    canvas.text(MARGIN + LABEL_WIDTH, y + 35, f"{latent.importance:.3g}", 13, SOFT)
    if latent.HasField("traversal"):
        _draw_strip(canvas, y, latent)


def _draw_strip(canvas: Canvas, y: float, latent: pb.RankedLatent) -> None:
    images = np.asarray(to_array(latent.traversal), dtype=np.float32)
    strip = Strip(MARGIN + STRIP_X, y, LATENTS_WIDTH - STRIP_X, images, -REACH, REACH)
    below = strip.draw(canvas, latent.response)
    if latent.latent_values:
        canvas.text(strip.position(latent.latent_values[0]), below, "▲", 12, INK, ha="center")


def _direction(latent: pb.RankedLatent, target: str) -> str:
    if latent.note:
        return latent.note
    if latent.direction == 0:
        return "either way"
    return f"more: likelier {target}" if latent.direction > 0 else f"more: less likely {target}"
