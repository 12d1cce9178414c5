"""One picture of two images compared: both, how near they are, and the factors that tell them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from explaind.cli import figure_words as words
from explaind.cli.figure_strip import Strip, draw_label
from explaind.figures.canvas import MARGIN, WIDTH, Canvas
from explaind.figures.palette import BLUE, FAINT, INK, RED, SOFT
from explaind.figures.pictures import Pixels
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client import to_array

COUNT = 5
HEADER, PICTURE, GAP = 136, 216, 32
IMAGES = 32 + PICTURE + 62
HEADING, ROW = 60, 122
BAR_X, BAR_WIDTH, STRIP_X = 170, 130, 330
USUAL_REACH, LARGEST_REACH = 3.0, 10.0
FULL_BAR = 3.0
"""The least |z| that fills half of a bar; a stronger difference in the picture fills it instead."""


def shown(response: service_pb.CompareLatentsResponse) -> Sequence[pb.LatentDifference]:
    """The differences that the figure has room for."""
    return response.differences[:COUNT]


def reach(response: service_pb.CompareLatentsResponse) -> float:
    """How far the strips must go from 0 to show both images' values; 3 where those are usual."""
    values = [abs(value) for row in shown(response) for value in (*row.values_a, *row.values_b)]
    return min(LARGEST_REACH, max(USUAL_REACH, math.ceil(max(values, default=0.0))))


def draw_comparison(
    response: service_pb.CompareLatentsResponse, strips: Sequence[pb.Traversal], images: tuple[Pixels, Pixels]
) -> Canvas:
    """The picture of a comparison, 1200 pixels wide.

    images: A and B, C×H×W in [0, 1]. strips: for each of `shown`, the traversal of one of its latents about image A.
    """
    canvas = Canvas(int(HEADER + IMAGES + HEADING + ROW * len(strips) + MARGIN / 2))
    canvas.text(
        MARGIN, 30, f"{response.prediction_a.class_name} and {response.prediction_b.class_name}", 46, weight="bold"
    )
    canvas.text(MARGIN, 92, words.pair_reading(response), 17, SOFT)
    _draw_images(canvas, HEADER + 32, response, images)
    _draw_factors(canvas, HEADER + IMAGES, response, strips)
    return canvas


def _draw_images(
    canvas: Canvas, y: float, response: service_pb.CompareLatentsResponse, images: tuple[Pixels, Pixels]
) -> None:
    for place, (name, prediction) in enumerate((("A", response.prediction_a), ("B", response.prediction_b))):
        x = MARGIN + place * (PICTURE + GAP)
        canvas.text(x, y - 30, name, 18, weight="bold")
        canvas.image(x, y, PICTURE, images[place])
        caption = f"read as {prediction.class_name}, {words.percent(prediction.scores, 0)}"
        canvas.text(x, y + PICTURE + 10, caption, 15, SOFT)
    x = MARGIN + 2 * (PICTURE + GAP) + GAP
    _draw_nearness(canvas, x, y, WIDTH - MARGIN - x, response)


def _draw_nearness(
    canvas: Canvas, x: float, y: float, width: float, response: service_pb.CompareLatentsResponse
) -> None:
    """Where this pair stands among random pairs, the nearest of which are at the left."""
    p = response.same_p_value
    canvas.text(x, y - 30, "How near they are", 18, weight="bold")
    canvas.wrapped(x, y + 10, f"All factors together, A and B lie {words.nearness(p)}.", 17, width, INK)
    bar = y + 104
    canvas.box(x, bar, width, 14, FAINT)
    canvas.box(x + width / 2 - 1, bar - 4, 2, 22, SOFT)
    canvas.box(x + p * width - 3, bar - 8, 6, 30, INK)
    for fraction, text, align in ((0.0, "alike", "left"), (0.5, "as random pairs", "center"), (1.0, "unlike", "right")):
        canvas.text(x + fraction * width, bar + 30, text, 14, SOFT, ha=align)


def _draw_factors(
    canvas: Canvas, y: float, response: service_pb.CompareLatentsResponse, strips: Sequence[pb.Traversal]
) -> None:
    canvas.text(MARGIN, y, "What tells B from A", 18, weight="bold")
    if not strips:
        canvas.text(MARGIN, y + 27, "This latent space has no used factors.", 14, SOFT)
        return
    canvas.text(MARGIN, y + 27, "z: 1 is a usual difference", 14, SOFT)
    wide = WIDTH - MARGIN - STRIP_X - MARGIN
    told = f"A as this factor alone changes; grey bars: how likely {response.prediction_a.class_name} is then"
    for fraction, text, align in ((0.0, "less", "left"), (0.5, told, "center"), (1.0, "more", "right")):
        canvas.text(MARGIN + STRIP_X + fraction * wide, y + 27, text, 14, SOFT, ha=align)
    full = max(FULL_BAR, *(abs(row.z_score) for row in shown(response)))
    for place, (difference, strip) in enumerate(zip(shown(response), strips, strict=True)):
        _draw_difference(canvas, y + HEADING + place * ROW, difference, strip, full)


def _draw_difference(
    canvas: Canvas, y: float, difference: pb.LatentDifference, traversal: pb.Traversal, full: float
) -> None:
    more = difference.z_score > 0
    color = RED if more else BLUE
    below = draw_label(canvas, y, difference.label, BAR_X - 12)
    canvas.text(MARGIN, below, "B has more" if more else "B has less", 13, color)
    middle, length = MARGIN + BAR_X + BAR_WIDTH / 2, abs(difference.z_score) / full * BAR_WIDTH / 2
    canvas.box(MARGIN + BAR_X, y + 14, BAR_WIDTH, 16, FAINT)
    canvas.box(middle if more else middle - length, y + 14, length, 16, color)
    canvas.box(middle - 0.5, y + 10, 1, 24, INK)
    canvas.text(middle, y + 37, f"z = {difference.z_score:+.1f}".replace("-", "−"), 13, SOFT, ha="center")
    images = np.asarray(to_array(traversal.images), dtype=np.float32)
    width = WIDTH - 2 * MARGIN - STRIP_X
    strip = Strip(MARGIN + STRIP_X, y, width, images, traversal.values[0], traversal.values[-1])
    place = list(difference.dimensions).index(traversal.dimension)
    line = strip.draw(canvas, traversal.response)
    _draw_ends(
        canvas, line, strip.position(difference.values_a[place]), strip.position(difference.values_b[place]), color
    )


def _draw_ends(canvas: Canvas, y: float, a: float, b: float, color: str) -> None:
    """The letters A and B under their values, side by side where these are close, and a line between."""
    middle, half = (a + b) / 2, max(abs(b - a) / 2, 9.0)
    side = 1 if b >= a else -1
    canvas.text(middle - side * half, y, "A", 14, INK, ha="center", weight="bold")
    canvas.text(middle + side * half, y, "B", 14, color, ha="center", weight="bold")
    if half > 12:
        canvas.box(middle - half + 9, y + 6.5, 2 * half - 18, 3, color)
