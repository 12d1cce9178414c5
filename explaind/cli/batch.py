"""`explaind batch`: a folder of images to one Parquet file."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from explaind.cli.options import extra

if TYPE_CHECKING:
    from explaind_client.batch import BatchSummary

DEFAULT_SERVER = "localhost:50051"


class EngineChoice(StrEnum):
    GRPC = "grpc"
    LOCAL = "local"


def batch(
    folder: Path = typer.Argument(help="Folder of PNG, JPEG and WebP files, searched through and through."),
    output: Path = typer.Argument(help="Parquet file to write, one row an image."),
    model: str = typer.Option("", show_default="the only one", help="Which model."),
    version: str = typer.Option("", show_default="the highest", help="Its version."),
    engine: EngineChoice = typer.Option(EngineChoice.GRPC, help="grpc: a daemon; local: in this process."),
    server: str = typer.Option(DEFAULT_SERVER, help="host:port of the daemon, for --engine grpc."),
    model_store: Path | None = typer.Option(
        None, show_default="model_store", help="Folder of bundles, for --engine local."
    ),
    path_mask: bool = typer.Option(False, "--path-mask", help="A path mask for each image too; much slower."),
    ranking: bool = typer.Option(False, "--ranking", help="A latent ranking for each image too."),
    detector: str = typer.Option("", show_default="mahalanobis", help="mahalanobis or logistic_regression."),
    level: float | None = typer.Option(
        None, show_default="0.05", help="False-alarm rate at which an image is called anomalous."
    ),
    resize: bool = typer.Option(False, "--resize", help="Bring wrong sizes to the model's."),
    shard_size: int = typer.Option(1024, min=1, help="Rows finished at once; a kill loses at most these."),
    batch_size: int = typer.Option(128, min=1, max=4096, help="Images in one message, where no mask is asked for."),
    concurrency: int = typer.Option(4, min=1, max=256, help="Messages or stream items under way at once."),
    patience: float = typer.Option(60.0, min=0, help="Seconds a daemon may be away before the run ends."),
) -> None:
    """Score a folder of images: prediction, p-value and losses, one row each; an unreadable one has an error.

    Run it again after a kill and it goes on where it was.
    """
    with extra("server"):
        from explaind.cli import asking
        from explaind.cli.explainer import answering, chosen_model
        from explaind.cli.progress import counting
        from explaind_client import Ask
        from explaind_client.batch import BatchJob, run
    with answering(server if engine is EngineChoice.GRPC else "", model_store) as explainer, counting() as progress:
        ask = Ask(
            model=chosen_model(explainer, model),
            version=version,
            latent_ranking=ranking and asking.ranking("", 0),
            anomaly_score=asking.anomaly(detector, level),
            path_mask=path_mask and asking.path_mask("", 0),
            resize=resize,
        )
        job = BatchJob(
            folder=folder,
            output=output,
            ask=ask,
            shard_size=shard_size,
            batch_size=batch_size,
            concurrency=concurrency,
            patience=patience,
        )
        summary = run(job, explainer, progress)
    _print(summary, output)


def _print(summary: BatchSummary, output: Path) -> None:
    from explaind.cli.tables import print_table

    rate = f"{summary.answered / summary.seconds:.0f}" if summary.answered and summary.seconds else "nothing left to do"
    row = (f"{summary.images}", f"{summary.errors}", f"{summary.anomalous}", f"{summary.seconds:.1f}", rate)
    print_table(str(output), ("images", "errors", "anomalous", "seconds", "images/s"), [row])
