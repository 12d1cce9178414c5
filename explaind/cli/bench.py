"""`explaind bench`: how fast a live daemon answers, as its callers see it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from explaind.cli import shared_options as shared
from explaind.cli.options import extra

if TYPE_CHECKING:
    from explaind.cli.bench_load import LoadPlan, Measured
    from explaind.cli.bench_target import Question


class Asked(StrEnum):
    PREDICTION = "prediction"
    LATENT_RANKING = "latent_ranking"
    ANOMALY_SCORE = "anomaly_score"
    PATH_MASK = "path_mask"
    ALL = "all"


def bench(
    target: str = typer.Option(help="host:port of a running daemon."),
    model: shared.ModelName = "",
    version: shared.Version = "",
    explanation: list[Asked] | None = typer.Option(
        None, show_default="each, and all", help="What is asked; repeat it for more, measured one after the other."
    ),
    image: list[Path] | None = typer.Option(
        None,
        show_default="the demo's digits",
        help="PNG, JPEG or WebP; repeat it for more, sent in turn.",
        exists=True,
        dir_okay=False,
        readable=True,
    ),
    resize: shared.Resize = False,
    concurrency: int | None = typer.Option(
        None, min=1, max=512, show_default="1", help="Callers who ask again as soon as they are answered."
    ),
    rate: float | None = typer.Option(
        None,
        min=0.01,
        max=20_000,
        help="Calls a second, sent however slowly they are answered; instead of --concurrency.",
    ),
    duration: float = typer.Option(5.0, min=0.1, max=3600, help="Seconds for each explanation."),
    requests: int = typer.Option(100_000, min=1, max=10_000_000, help="At most so many calls for each explanation."),
    warm_up: int = typer.Option(10, min=1, max=10_000, help="Calls before those that count."),
    timeout: shared.Timeout = 30.0,
    json: bool = typer.Option(False, "--json", help="Print the figures as JSON."),
) -> None:
    """Measure a live daemon: latencies, answers a second and refusals, for each explanation.

    It shares the machine with the daemon where that is on this one; nothing is retried.
    """
    if rate is not None and concurrency is not None:
        raise typer.BadParameter("give either --concurrency or --rate", param_hint="--rate")
    with extra("server"):
        from explaind.cli import bench_show
        from explaind.cli.bench_load import LoadPlan
        from explaind.cli.bench_target import questions
    plan = LoadPlan(
        callers=concurrency or 1, rate=rate, seconds=duration, most=requests, warm_up=warm_up, timeout=timeout
    )
    names = [each.value for each in dict.fromkeys(explanation or [])]
    asked = questions(target, model=model, version=version, names=names, images=image or (), resize=resize)
    measured = {question.name: _measured(target, question, plan) for question in asked}
    bench_show.as_json(target, asked[0], plan, measured) if json else bench_show.as_table(
        target, asked[0], plan, measured
    )
    if not all(each.seconds for each in measured.values()):
        raise typer.Exit(1)


def _measured(target: str, question: Question, plan: LoadPlan) -> Measured:
    """Says what it is doing, since it takes a while."""
    import asyncio

    from explaind.cli.bench_target import measure

    typer.echo(f"{question.name}: {plan.seconds:g} s", err=True)
    return asyncio.run(measure(target, question, plan))
