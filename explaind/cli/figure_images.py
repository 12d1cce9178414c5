"""The row of pictures: the image, its reconstruction, the other image, and what makes the difference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from explaind.cli import figure_words as words
from explaind.figures.canvas import MARGIN, Canvas
from explaind.figures.palette import BLUE, FAINT, INK, RED, SOFT
from explaind.figures.pictures import Pixels
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client import to_array

SIZE, GAP = 252, 32
IMAGES_HEIGHT = 32 + SIZE + 76
Panel = Callable[[float], None]


def draw_images(canvas: Canvas, y: float, response: service_pb.ExplainResponse, image: Pixels) -> None:
    """Up to four panels from the left, each with a heading above and two lines of caption below."""
    for place, panel in enumerate(_panels(canvas, y + 32, response, image)):
        panel(MARGIN + place * (SIZE + GAP))


def _panels(canvas: Canvas, y: float, response: service_pb.ExplainResponse, image: Pixels) -> list[Panel]:
    scores, mask = response.prediction.scores, response.path_mask
    seen = f"read as {response.prediction.class_name}" + (f", {words.percent(scores, 0)}" if scores else "")
    panels: list[Panel] = [lambda x: _picture(canvas, x, y, "This image", image, seen)]
    rebuilt = _reconstruction(response)
    if rebuilt is not None:
        panels.append(lambda x: _picture(canvas, x, y, "As the VAE rebuilds it", rebuilt, *_losses(response)))
    if not response.HasField("path_mask"):
        return panels
    if mask.outcome == pb.PATH_MASK_OUTCOME_NO_MORPH_FOUND:
        return [*panels, lambda x: _reason(canvas, x, y, mask.reason)]
    return [*panels, lambda x: _other(canvas, x, y, response), lambda x: _attribution(canvas, x, y, response, image)]


def _picture(canvas: Canvas, x: float, y: float, heading: str, pixels: Pixels, *captions: str) -> None:
    canvas.text(x, y - 30, heading, 18, weight="bold")
    canvas.image(x, y, SIZE, pixels)
    for line, caption in enumerate(captions):
        canvas.text(x, y + SIZE + 10 + 22 * line, caption, 15, SOFT)


def _reconstruction(response: service_pb.ExplainResponse) -> Pixels | None:
    if response.anomaly_score.HasField("reconstruction"):
        return _pixels(response.anomaly_score.reconstruction)
    if response.path_mask.reconstruction.values:
        return _pixels(response.path_mask.reconstruction)
    return None


def _losses(response: service_pb.ExplainResponse) -> tuple[str, ...]:
    if not response.HasField("anomaly_score"):
        return ()
    losses = response.anomaly_score.losses
    return (f"squared error {losses.mse:.4f}", f"structural similarity {losses.ssim:.2f}")


def _other(canvas: Canvas, x: float, y: float, response: service_pb.ExplainResponse) -> None:
    mask = response.path_mask
    found, p = words.class_name(response, words.found_class(response)), mask.other_p_value
    verdict = f"{'could well be real' if p > 0.01 else 'unlike a real one'} (p = {words.p_value(p)})"
    captions = (f"found in {mask.morph_steps} steps", "" if np.isnan(p) else verdict)
    _picture(canvas, x, y, f"Nearest {found}", _pixels(mask.other_image), *captions)


def _attribution(canvas: Canvas, x: float, y: float, response: service_pb.ExplainResponse, image: Pixels) -> None:
    mask = response.path_mask
    self_name = words.class_name(response, mask.self_class)
    canvas.text(x, y - 30, f"Why {words.title(response)}", 18, weight="bold")
    canvas.attribution(x, y, SIZE, image, _pixels(mask.attribution))
    if mask.outcome == pb.PATH_MASK_OUTCOME_NO_CHANGE:
        canvas.wrapped(x, y + SIZE + 10, mask.reason or "The probability does not change.", 15, SIZE, SOFT)
        return
    for line, (color, what) in enumerate(((RED, "brighter"), (BLUE, "darker"))):
        top = y + SIZE + 11 + 22 * line
        canvas.box(x, top + 2, 14, 14, color)
        canvas.text(x + 22, top, f"{what} here makes it {self_name}", 15, INK)


def _reason(canvas: Canvas, x: float, y: float, reason: str) -> None:
    canvas.text(x, y - 30, "No counterpart found", 18, weight="bold")
    canvas.frame(x, y, SIZE, SIZE, FAINT)
    canvas.wrapped(x + 18, y + 18, reason or "No natural image of the other class was found.", 16, SIZE - 36, SOFT)


def _pixels(tensor: pb.Tensor) -> Pixels:
    return np.asarray(to_array(tensor), dtype=np.float32)
