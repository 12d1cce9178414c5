"""`explaind evaluate`: a bundle against its bars, and the report of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from explaind.cli.options import extra, settings_from


def evaluate(
    bundle: Path | None = typer.Argument(
        None, help="Folder with a recipe.toml and a built version.", exists=True, file_okay=False
    ),
    data: Path | None = typer.Option(None, show_default="EXPLAIND_DATA", help="Folder of the data sets."),
    training_runs: Path | None = typer.Option(
        None, show_default="training_runs", help="Where training kept the judge."
    ),
    results: Path | None = typer.Option(
        None,
        show_default="docs/results; with --quick, quick-results in the training runs",
        help="Where the report goes, in a folder of the bundle's name.",
    ),
    section: list[str] = typer.Option(
        [], help="Measure this section only; the others keep what an earlier run found. May be repeated."
    ),
    table: bool = typer.Option(
        False, "--table", help="Measure nothing; write the table of the sources' figures and ours from all reports."
    ),
    quick: bool = typer.Option(
        False,
        "--quick",
        help="A few images a section: minutes less, and less certain; the full report stays as it is.",
    ),
) -> None:
    """Measure a bundle on its test set, write its report, and fail where a bar is missed or a section fails."""
    settings = settings_from(data=data, training_runs=training_runs)
    if table:
        _write_table(bundle, settings.model_store, results)
        return
    if bundle is None:
        raise typer.BadParameter("name a bundle's folder, or give --table.", param_hint="BUNDLE")
    with extra("all"):
        from explaind.training.evaluation import evaluate as evaluation
    quick_results = settings.training_runs / "quick-results"
    result = evaluation.evaluate(
        bundle,
        data=settings.data,
        runs=settings.training_runs,
        results=results or (quick_results if quick else evaluation.RESULTS),
        records=quick_results if quick else None,
        extent=evaluation.QUICK if quick else None,
        only=section,
        report=lambda line: typer.echo(line, err=True),
    )
    bars: Any = result["bars"]
    _print(bars)
    failed = [key for key, figures in result.items() if isinstance(figures, dict) and "failed" in figures]
    for key in failed:
        typer.echo(f"explaind: section {key} failed: {result[key]['failed']}", err=True)
    if failed or not all(bar["passed"] for bar in bars):
        raise typer.Exit(1)


def _write_table(bundle: Path | None, store: Path, results: Path | None) -> None:
    """From all bundles of the store, whichever were named."""
    if bundle is not None:
        raise typer.BadParameter("goes with no bundle: it reads all of the model store's.", param_hint="--table")
    with extra("all"):
        from explaind.training.evaluation.lookup import RESULTS
        from explaind.training.evaluation.sources.table import write_table
    typer.echo(f"Wrote {write_table(store, results or RESULTS)}")


def _print(bars: list[dict[str, Any]]) -> None:
    from explaind.cli.tables import print_table

    rows = ((bar["title"], f"{bar['value']:.4g}", bar["bar"], "yes" if bar["passed"] else "NO") for bar in bars)
    print_table("Bars", ("figure", "value", "bar", "met"), rows)
