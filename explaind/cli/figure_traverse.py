"""One picture of an image's latents moved: a strip each, and how likely the class remains."""

from __future__ import annotations

import numpy as np

from explaind.cli import figure_words as words
from explaind.cli.figure_strip import Strip, draw_label
from explaind.figures.canvas import MARGIN, WIDTH, Canvas
from explaind.figures.palette import INK, SOFT
from explaind.figures.pictures import Pixels
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client import to_array

MOST_ROWS, MOST_PICTURES = 20, 12
HEADER, PICTURE, GAP = 136, 160, 32
IMAGES = 32 + PICTURE + 56
HEADING, BELOW_STRIP = 34, 40
LABEL_WIDTH, STRIP_X = 190, 214
WIDEST_PITCH = 89.0


def draw_traversals(response: service_pb.TraverseLatentsResponse, image: Pixels, *, hold: str = "encoded") -> Canvas:
    """The picture of an answer, 1200 pixels wide, of at most 20 latents and 12 of each one's images.

    image: C×H×W in [0, 1]. hold: what was asked, encoded or zero.
    """
    traversals = response.traversals[:MOST_ROWS]
    row = _pitch(traversals[0]) + BELOW_STRIP if traversals else 0.0
    left_out = len(response.traversals) - len(traversals)
    canvas = Canvas(int(HEADER + IMAGES + HEADING + row * len(traversals) + (30 if left_out else 0) + MARGIN / 2))
    canvas.text(MARGIN, 30, response.prediction.class_name, 46, weight="bold")
    canvas.text(MARGIN, 92, words.reading(response.model, response.prediction), 17, SOFT)
    _draw_images(canvas, HEADER + 32, response, image, hold)
    y: float = HEADER + IMAGES
    _draw_scale(canvas, y, response)
    for place, traversal in enumerate(traversals):
        _draw_traversal(canvas, y + HEADING + place * row, traversal, response.prediction.class_name)
    if left_out:
        more = f"{left_out} more latents were moved; name fewer with --dimension, or see them all with --json."
        canvas.text(MARGIN, y + HEADING + row * len(traversals), more, 14, SOFT)
    return canvas


def _draw_images(
    canvas: Canvas, y: float, response: service_pb.TraverseLatentsResponse, image: Pixels, hold: str
) -> None:
    agrees = "classified alike" if response.reconstruction_agrees else "classified otherwise!"
    rebuilt = np.asarray(to_array(response.reconstruction), dtype=np.float32)
    named = (("This image", image, f"read as {response.prediction.class_name}"), ("Rebuilt", rebuilt, agrees))
    for place, (name, pixels, caption) in enumerate(named):
        x = MARGIN + place * (PICTURE + GAP)
        canvas.text(x, y - 30, name, 18, weight="bold")
        canvas.image(x, y, PICTURE, pixels)
        canvas.text(x, y + PICTURE + 10, caption, 15, SOFT)
    x = MARGIN + 2 * (PICTURE + GAP) + GAP
    target = response.prediction.class_name
    others = "at this image's own code" if hold == "encoded" else "at 0, the middle of all images"
    told = (
        f"Each row moves one latent of the space «{response.latent_space}» and holds the others {others}. The grey bar "
        f"under a picture is the probability of {target} there, and ▲ stands where this image is."
    )
    canvas.text(x, y - 30, "How to read this", 18, weight="bold")
    canvas.wrapped(x, y + 4, told, 16, WIDTH - MARGIN - x, SOFT)


def _draw_scale(canvas: Canvas, y: float, response: service_pb.TraverseLatentsResponse) -> None:
    """Low and high, over the middles of the first and the last picture."""
    if not response.traversals:
        canvas.text(MARGIN, y, "This latent space has no used latents.", 16, SOFT)
        return
    values, strip = response.traversals[0].values, _strip(response.traversals[0], y)
    for value in (values[0], values[-1]):
        canvas.text(strip.position(value), y, f"{value:+g}".replace("-", "−"), 14, SOFT, ha="center")


def _draw_traversal(canvas: Canvas, y: float, traversal: pb.Traversal, target: str) -> None:
    below = draw_label(canvas, y, traversal.label, LABEL_WIDTH)
    canvas.text(MARGIN, below, f"latent {traversal.dimension}", 13, SOFT)
    response = traversal.response
    told = f"{target}: {min(response):.2f} to {max(response):.2f}"
    canvas.text(MARGIN, below + 19, told, 13, INK if max(response) - min(response) >= 0.5 else SOFT)
    strip = _strip(traversal, y)
    line = strip.draw(canvas, np.asarray(response)[_pictured(len(response))].tolist())
    canvas.text(strip.position(traversal.encoded_value), line, "▲", 12, INK, ha="center")


def _strip(traversal: pb.Traversal, y: float) -> Strip:
    images = np.asarray(to_array(traversal.images), dtype=np.float32)
    images = images[_pictured(len(images))]
    width = _pitch(traversal) * len(images)
    return Strip(MARGIN + STRIP_X, y, width, images, traversal.values[0], traversal.values[-1])


def _pitch(traversal: pb.Traversal) -> float:
    return min(WIDEST_PITCH, (WIDTH - 2 * MARGIN - STRIP_X) / len(_pictured(len(traversal.values))))


def _pictured(count: int) -> np.ndarray[tuple[int], np.dtype[np.int_]]:
    """Evenly chosen places of at most 12 of `count` images, both ends among them."""
    return np.linspace(0, count - 1, min(count, MOST_PICTURES)).round().astype(int)
