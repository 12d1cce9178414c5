"""What the demo shows: a table and the figures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from explaind.cli import figure_words as words
from explaind.cli.demo_run import Explained
from explaind.cli.figure import write_figure
from explaind.cli.pixels import decoded_pixels
from explaind.cli.tables import arrow, print_table

COLUMNS = ("image", "read as", "probability", "runner-up", "p-value", "anomalous", "top factors", "ms")
TOP_FACTORS = 2


def draw(shown: Sequence[Explained], out: Path) -> list[Path]:
    """Writes one PNG an image into `out`."""
    paths = []
    for explained in shown:
        path = out / explained.name
        write_figure(explained.response, decoded_pixels(explained.encoded, explained.model), path)
        paths.append(path)
    return paths


def print_table_of(shown: Sequence[Explained]) -> None:
    print_table("Explained over gRPC", COLUMNS, [_row(explained) for explained in shown])


def _row(explained: Explained) -> tuple[str, ...]:
    response = explained.response
    scores, latents = response.prediction.scores, response.latent_ranking.latents[:TOP_FACTORS]
    return (
        explained.name,
        response.prediction.class_name,
        f"{response.prediction.probability:.4f}",
        scores[1].class_name,
        words.p_value(response.anomaly_score.p_value),
        "YES" if response.anomaly_score.anomalous else "no",
        ", ".join(f"{latent.label} {arrow(latent)}" for latent in latents),
        f"{explained.seconds * 1000:.0f}",
    )
