"""One picture of one answer that a person understands at a glance, drawn from the ExplainResponse alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from explaind.cli import figure_words as words
from explaind.cli.figure_anomaly import anomaly_height, draw_anomaly
from explaind.cli.figure_images import IMAGES_HEIGHT, draw_images
from explaind.cli.figure_latents import LATENTS_WIDTH, draw_latents, latents_height
from explaind.cli.figure_path import PATH_HEIGHT, draw_path
from explaind.errors import ConfigurationError
from explaind.figures.canvas import MARGIN, WIDTH, Canvas
from explaind.figures.palette import GREEN, PAPER, RED, SOFT
from explaind.figures.pictures import Pixels
from explaind.v1 import explanation_service_pb2 as service_pb

HEADER_HEIGHT = 136
FULL_WIDTH = WIDTH - 2 * MARGIN
GUTTER = 36
Section = tuple[float, Callable[[Canvas, float], None]]


def write_figure(response: service_pb.ExplainResponse, image: Pixels, path: Path) -> None:
    """Writes `draw(response, image)` as PNG. Raises ConfigurationError where `path` cannot be written."""
    save(draw(response, image), path)


def save(canvas: Canvas, path: Path) -> None:
    """Writes a figure as PNG. Raises ConfigurationError where `path` cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        canvas.save(path)
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be written ({exc.strerror}); choose another file.") from exc


def draw(response: service_pb.ExplainResponse, image: Pixels) -> Canvas:
    """The picture of an answer, 1200 pixels wide.

    image: C×H×W in [0, 1], of the model's size: what the answer is about. Parts that were not asked for are left out;
    the richest picture needs the path, the reconstruction and the traversals.
    """
    pictures: Section = (IMAGES_HEIGHT, lambda canvas, y: draw_images(canvas, y, response, image))
    sections = [pictures, *_sections(response)]
    canvas = Canvas(int(HEADER_HEIGHT + sum(height for height, _ in sections) + MARGIN / 2))
    _draw_header(canvas, response)
    y = float(HEADER_HEIGHT)
    for height, draw in sections:
        draw(canvas, y)
        y += height
    return canvas


def _sections(response: service_pb.ExplainResponse) -> list[Section]:
    sections: list[Section] = []
    if response.path_mask.HasField("path"):
        sections.append((PATH_HEIGHT, lambda canvas, y: draw_path(canvas, y, response)))
    has_latents, has_anomaly = response.HasField("latent_ranking"), response.HasField("anomaly_score")
    if has_latents and has_anomaly:
        height = max(latents_height(response.latent_ranking), anomaly_height(response.anomaly_score))
        sections.append((height, lambda canvas, y: _draw_both(canvas, y, response)))
    elif has_latents:
        sections.append((latents_height(response.latent_ranking), lambda canvas, y: draw_latents(canvas, y, response)))
    elif has_anomaly:
        sections.append((anomaly_height(response.anomaly_score), lambda canvas, y: _draw_wide(canvas, y, response)))
    return sections


def _draw_both(canvas: Canvas, y: float, response: service_pb.ExplainResponse) -> None:
    draw_latents(canvas, y, response)
    x = MARGIN + LATENTS_WIDTH + GUTTER
    draw_anomaly(canvas, x, y, WIDTH - MARGIN - x, response.anomaly_score)


def _draw_wide(canvas: Canvas, y: float, response: service_pb.ExplainResponse) -> None:
    draw_anomaly(canvas, MARGIN, y, FULL_WIDTH, response.anomaly_score)


def _draw_header(canvas: Canvas, response: service_pb.ExplainResponse) -> None:
    canvas.text(MARGIN, 30, words.title(response), 46, weight="bold")
    canvas.text(MARGIN, 92, words.subtitle(response), 17, SOFT)
    if response.HasField("anomaly_score"):
        badge, height, size = words.anomaly(response.anomaly_score), 40, 18
        width = canvas.measure(badge, size, weight="bold") + 44
        x = WIDTH - MARGIN - width
        canvas.pill(x, 38, width, height, RED if response.anomaly_score.anomalous else GREEN)
        canvas.text(x + width / 2, 38 + height / 2 - 1, badge, size, PAPER, weight="bold", ha="center", va="center")
