"""`explaind serve`: the daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from explaind.cli.options import extra, settings_from

if TYPE_CHECKING:
    from explaind.settings import Settings


def serve(
    host: str | None = typer.Option(None, show_default="127.0.0.1", help="Address to listen on; 0.0.0.0 for all."),
    port: int | None = typer.Option(None, show_default="50051", help="gRPC port; 0 picks a free one."),
    metrics_port: int | None = typer.Option(
        None, show_default="9464", help="HTTP port of /metrics and /healthz; 0 picks a free one."
    ),
    model_store: Path | None = typer.Option(None, show_default="model_store", help="Folder of bundles."),
    model: list[str] | None = typer.Option(
        None, show_default="all of them", help="Name of a model to serve; repeat it for more."
    ),
    torchserve: bool = typer.Option(False, "--torchserve", help="Start TorchServe too; it serves when ONNX fails."),
    backend: list[str] | None = typer.Option(
        None, show_default="onnx", help="onnx, torchserve or torch; repeat it for more, tried in their order."
    ),
    workers: int | None = typer.Option(None, show_default="2", help="Requests of the fast class computed at once."),
    log_json: bool | None = typer.Option(None, "--log-json", show_default="no", help="JSON log lines."),
    log_level: str | None = typer.Option(None, show_default="info", help="debug, info, warning or error."),
) -> None:
    """Serve explanations over gRPC until SIGTERM or Ctrl-C."""
    settings = settings_from(
        host=host,
        port=port,
        metrics_port=metrics_port,
        model_store=model_store,
        models=tuple(model) if model else None,
        backends=tuple(backend) if backend else None,
        workers=workers,
        log_json=log_json,
        log_level=log_level,
    )
    with extra("server"):
        from explaind.service.awake_loop import AwakeLoop
        from explaind.service.server import serve as run
    with (
        _with_torchserve(settings) if torchserve else _alone(settings) as complete,
        asyncio.Runner(loop_factory=AwakeLoop) as runner,
    ):
        runner.run(run(complete))


@contextmanager
def _alone(settings: Settings) -> Iterator[Settings]:
    yield settings


@contextmanager
def _with_torchserve(settings: Settings) -> Iterator[Settings]:
    """TorchServe on loopback for the default bundles, stopped with us; tried last unless it is named earlier."""
    from explaind.backends.torchserve_launcher import TorchServe
    from explaind.cli.versions import default_bundles

    typer.echo("Starting TorchServe; this takes some seconds.", err=True)
    # A bundle around a classifier trained elsewhere has no archives; the other backends serve it.
    bundles = default_bundles(settings.model_store, settings.models)
    archived = [folder for folder in bundles if any(folder.glob("*.mar"))]
    with TorchServe.launch(archived) as running:
        named = settings.backends
        yield settings.model_copy(
            update={
                "backends": named if "torchserve" in named else (*named, "torchserve"),
                "torchserve_address": running.grpc_address,
                "torchserve_management": running.management_address,
            }
        )
