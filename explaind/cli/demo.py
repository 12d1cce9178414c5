"""`explaind demo`: a real daemon on loopback, three real digits, one shoe."""

from __future__ import annotations

import asyncio
from pathlib import Path

import typer

from explaind.cli.options import extra, settings_from


def demo(
    out: Path = typer.Option(Path("out"), help="Folder for the figures."),
    model_store: Path | None = typer.Option(
        None, show_default="model_store", help="Folder of bundles; it must hold mnist."
    ),
    torchserve: bool = typer.Option(
        False, "--torchserve", help="One digit through TorchServe and in process: agreement and cost."
    ),
) -> None:
    """Explain three real test digits and one FashionMNIST image over real gRPC, and draw what was found."""
    if torchserve:
        with extra("torchserve"):
            from explaind.cli.demo_torchserve import demo_torchserve
        demo_torchserve(settings_from(model_store=model_store).model_store / "mnist")
        return
    with extra("server"):
        from explaind.cli import demo_run, demo_show
    settings = settings_from(model_store=model_store, host="127.0.0.1", port=0, metrics_port=0, log_level="warning")
    shown = asyncio.run(demo_run.run(settings))
    paths = demo_show.draw(shown, out)
    demo_show.print_table_of(shown)
    failures = [failure for each in shown if (failure := demo_run.failure(each))]
    for failure in failures:
        typer.echo(f"explaind: {failure}", err=True)
    typer.echo("The figures:\n" + "\n".join(f"  {path}" for path in paths))
    if failures:
        raise typer.Exit(1)
