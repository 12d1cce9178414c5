"""`explaind train`: a recipe to a bundle."""

from __future__ import annotations

from pathlib import Path

import typer

from explaind.cli.options import extra, settings_from


def train(
    bundle: Path = typer.Argument(help="Folder with a recipe.toml.", exists=True),
    data: Path | None = typer.Option(None, show_default="EXPLAIND_DATA", help="Folder of the data sets."),
    training_runs: Path | None = typer.Option(
        None, show_default="training_runs", help="Where checkpoints and finished networks are kept between runs."
    ),
    output: Path | None = typer.Option(
        None,
        show_default="the recipe's folder; with --quick quick-store/NAME in the training runs",
        help="Folder that gets the built version.",
    ),
    quick: bool = typer.Option(False, "--quick", help="A tenth of the images and epochs, to see that a recipe runs."),
    fresh: bool = typer.Option(False, "--fresh", help="Fit again what is finished."),
    download: bool = typer.Option(False, "--download", help="Let torchvision fetch a data set that is not there."),
) -> None:
    """Train the networks of a recipe and build its bundle; the same recipe gives the same bundle.

    Killed or interrupted, it goes on after the last finished epoch when it is called again. The bundle that was
    there stays until the new one takes its place, whole. --quick shows in minutes that a recipe runs.

    \b
    explaind train model_store/mnist --quick
    explaind serve --model-store training_runs/quick-store
    explaind train model_store/mnist --data ~/images --output /srv/models/mnist
    """
    settings = settings_from(data=data, training_runs=training_runs)
    with extra("train"):
        from explaind.training.build import build
    folder = build(
        bundle,
        data=settings.data,
        runs=settings.training_runs,
        fresh=fresh,
        download=download,
        quick=quick,
        output=output,
    )
    typer.echo(f"The bundle is {folder}.")
