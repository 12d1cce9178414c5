"""Answers on a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import typer
from google.protobuf.json_format import MessageToJson
from google.protobuf.message import Message
from rich.console import Console
from rich.table import Table

from explaind.cli import figure_words as words
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind.v1 import model_service_pb2 as model_pb

SHOWN_LATENTS = 5
UNBOUND = 160


def print_table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """As wide as the terminal; in a file or a pipe as wide as it needs to be."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console()
    (console if console.is_terminal else Console(width=UNBOUND)).print(table)


def print_json(message: Message) -> None:
    typer.echo(MessageToJson(message, preserving_proto_field_name=True))


def print_answer(response: service_pb.ExplainResponse) -> None:
    typer.echo(words.subtitle(response))
    if response.HasField("anomaly_score"):
        typer.echo(f"The image {_with_verb(response.anomaly_score)}.")
    if response.HasField("path_mask"):
        typer.echo(mask_sentence(response))
    if response.HasField("latent_ranking"):
        ranking = response.latent_ranking
        title = f"What drives {words.class_name(response, ranking.target_class)}, by {words.measure(ranking)}"
        print_table(title, ("factor", "importance", "direction", "value here"), latent_rows(ranking))


def mask_sentence(response: service_pb.ExplainResponse) -> str:
    mask = response.path_mask
    if mask.outcome in (pb.PATH_MASK_OUTCOME_NO_MORPH_FOUND, pb.PATH_MASK_OUTCOME_NO_CHANGE):
        return f"No path mask: {mask.reason}"
    ends = f"from {words.class_name(response, mask.other_class)} to {words.class_name(response, mask.self_class)}"
    return (
        f"On a path {ends} the probability changes by {mask.probability_change:+.3f}; "
        f"found in {mask.morph_steps} steps, stationarity gap {mask.stationarity_gap:.1e}."
    )


def latent_rows(ranking: pb.LatentRanking) -> Iterable[tuple[str, str, str, str]]:
    for latent in ranking.latents[:SHOWN_LATENTS]:
        values = ", ".join(f"{value:+.2f}" for value in latent.latent_values)
        yield latent.label, f"{latent.importance:.3g}", arrow(latent), values


def arrow(latent: pb.RankedLatent) -> str:
    return "↑" if latent.direction > 0 else "↓" if latent.direction < 0 else "·"


def print_models(models: Iterable[model_pb.Model]) -> None:
    rows = (
        (
            model.name,
            model.version,
            "×".join(map(str, model.image_shape)),
            str(len(model.class_names)),
            ", ".join(model.explanations) or "prediction only",
            ", ".join(f"{state.name}{'' if state.alive else ' (down)'}" for state in model.backends),
            model.bundle_digest[:12],
        )
        for model in models
    )
    print_table("Models", ("name", "version", "image", "classes", "explanations", "backends", "digest"), rows)


def _with_verb(score: pb.AnomalyScore) -> str:
    return f"is {words.anomaly(score)}" if score.anomalous else words.anomaly(score)
