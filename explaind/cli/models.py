"""`explaind models`: what can be asked about."""

from __future__ import annotations

from pathlib import Path

import typer

from explaind.cli.options import extra


def models(
    server: str = typer.Option("", help="host:port of a daemon; without it the model store is looked at."),
    model_store: Path | None = typer.Option(
        None, show_default="model_store", help="Folder of bundles, where there is no --server."
    ),
    json: bool = typer.Option(False, "--json", help="Print everything that is known, as JSON lines."),
) -> None:
    """List every model and version, what it explains and which backends serve it."""
    with extra("server"):
        from google.protobuf.json_format import MessageToJson

        from explaind.cli.explainer import answering
        from explaind.cli.tables import print_models
    with answering(server, model_store) as explainer:
        found = [
            explainer.get_model(summary.name, version=version)
            for summary in explainer.list_models()
            for version in summary.versions
        ]
    if not json:
        print_models(found)
        return
    for model in found:
        typer.echo(MessageToJson(model, preserving_proto_field_name=True, indent=None))
