"""What each latent knows of each factor, and beside it what the latent does to an image."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from explaind.explanations.types import DoubleArray, FloatArray
from explaind.figures.canvas import Canvas
from explaind.figures.palette import FAINT, INK, OURS, PAPER, SOFT, rgb
from explaind.training.evaluation.disentanglement.information import Matrix

_EDGE, _HEAD, _ROW = 20.0, 66.0, 68.0
_NAMES, _CELL, _GAP, _STRIP = 130.0, 78.0, 24.0, 4.0
_WIDTH = 1200
_KNOWN = 0.05


def information_and_traversals(
    information: Matrix,
    entropy: DoubleArray,
    factors: Sequence[str],
    latents: Sequence[str],
    strips: FloatArray,
    values: DoubleArray,
) -> Figure:
    """information (D, K) and entropy (K,), nats; factors, latents: their names; strips (D, S, C, H, W): each latent's
    traversal over values (S,). A row a latent, cells the fuller the more of the factor's entropy the latent knows;
    the latent that knows most of a factor is framed, where any knows a twentieth of it."""
    canvas = Canvas(int(2 * _EDGE + _HEAD + _ROW * len(latents)), _WIDTH)
    start = _EDGE + _NAMES + _CELL * len(factors) + _GAP
    size = min(_ROW - _STRIP, (_WIDTH - _EDGE - start) / len(values) - _STRIP)
    _write_heads(canvas, factors, entropy, values, start, size)
    best = information.argmax(axis=0)
    for d, name in enumerate(latents):
        y = _EDGE + _HEAD + _ROW * d
        for line, part in enumerate(name.split("\n")):
            canvas.text(_EDGE, y + 14 + 19 * line, part, 15 if line == 0 else 13, INK if line == 0 else SOFT)
        for k in range(len(factors)):
            _draw_cell(
                canvas,
                _EDGE + _NAMES + _CELL * k,
                y,
                information[d, k],
                entropy[k],
                framed=best[k] == d and information[d, k] >= _KNOWN * entropy[k],
            )
        for s, pixels in enumerate(strips[d]):
            canvas.image(start + s * (size + _STRIP), y + (_ROW - _STRIP - size) / 2, size, pixels)
    return canvas.figure


def _write_heads(
    canvas: Canvas, factors: Sequence[str], entropy: DoubleArray, values: DoubleArray, start: float, size: float
) -> None:
    for k, name in enumerate(factors):
        middle = _EDGE + _NAMES + _CELL * (k + 0.5) - _STRIP / 2
        canvas.text(middle, _EDGE + 16, name, 14, ha="center")
        canvas.text(middle, _EDGE + 36, f"H {entropy[k]:.2f}", 13, SOFT, ha="center")
    canvas.text(_EDGE, _EDGE + 36, "nats", 13, SOFT)
    for s, value in enumerate(values):
        text = f"{value:.1f}".replace("-", "−")
        canvas.text(start + s * (size + _STRIP) + size / 2, _EDGE + 36, text, 13, SOFT, ha="center")


def _draw_cell(canvas: Canvas, x: float, y: float, nats: float, entropy: float, *, framed: bool) -> None:
    share = min(1.0, nats / entropy) if entropy > 0 else 0.0
    width, height = _CELL - _STRIP, _ROW - _STRIP
    canvas.box(x, y, width, height, _shade(share))
    canvas.frame(x, y, width, height, INK if framed else FAINT, 2 if framed else 1)
    canvas.text(x + width / 2, y + height / 2, f"{nats:.2f}", 15, PAPER if share > 0.55 else INK, ha="center",
                va="center")  # fmt: skip


def _shade(share: float) -> str:
    color = rgb(PAPER) + (rgb(OURS) - rgb(PAPER)) * np.float32(share)
    return "#" + "".join(f"{round(float(c) * 255):02x}" for c in color)
