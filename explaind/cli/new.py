"""`explaind new`: a bundle around a classifier that was trained elsewhere, and what its explanations are worth."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from explaind.cli.options import extra, settings_from

if TYPE_CHECKING:
    from explaind.training.foreign.create import Created

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def new(
    name: str = typer.Argument(help="The model's name: small letters, digits and _, beginning with a letter."),
    classifier: Path = typer.Option(..., help="The classifier: .pt2 (torch.export.save) or .onnx.", exists=True),
    images: Path = typer.Option(
        ..., help="Folder with a folder of PNG, JPEG or WebP files for each class, or train/ and test/ of such."
    ),
    classes: Path | None = typer.Option(
        None, show_default="the folders, sorted", help="Text file: a class a line, in the order of the outputs."
    ),
    mean: str = typer.Option("0", help="The classifier's normalisation (x − mean)/deviation of pixels in [0, 1]: one "
                                       "number, or one a channel as in 0.49,0.48,0.45."),
    deviation: str = typer.Option("1", help="As --mean."),
    input_size: str | None = typer.Option(
        None, show_default="the file's", help="Pixels a side that the classifier takes, or HEIGHTxWIDTH."
    ),
    size: str | None = typer.Option(
        None, show_default="the images', at most 64", help="Pixels a side that callers send and the VAE rebuilds."
    ),
    sample: int | None = typer.Option(None, min=1, show_default="all", help="Use so many images at most."),
    epochs: int | None = typer.Option(None, min=1, show_default="6,000 updates", help="Of each VAE."),
    skip_unreadable: bool = typer.Option(False, "--skip-unreadable", help="Leave out files that cannot be read."),
    quick: bool = typer.Option(False, "--quick", help="2,000 images and a few epochs: does it work at all?"),
    replace: bool = typer.Option(
        False, "--replace", help="Take the place of a model of that name; its labels and its other versions stay."
    ),
    seed: int = typer.Option(0, min=0, help="Of everything that is drawn at random."),
    report: Path | None = typer.Option(
        None, show_default="TRAINING_RUNS/NAME/quality", help="Folder for the quality report with its figures."
    ),
    model_store: Path | None = typer.Option(None, show_default="model_store", help="Folder of bundles."),
    training_runs: Path | None = typer.Option(
        None, show_default="training_runs", help="Where finished networks are kept: the same command goes on there."
    ),
) -> None:  # fmt: skip
    """Explain your own classifier: fit VAEs to its images, build a bundle, and say what its explanations are worth."""
    if not _NAME.fullmatch(name):
        raise typer.BadParameter("use small letters, digits and _, beginning with a letter", param_hint="NAME")
    settings = settings_from(model_store=model_store, training_runs=training_runs)
    with extra("train"):
        from explaind.training.foreign.create import create
        from explaind.training.foreign.plan import Wishes
    wishes = Wishes(
        name=name,
        images=images,
        classes=_names(classes),
        size=_sides(size, "--size"),
        input_size=_sides(input_size, "--input-size"),
        mean=_numbers(mean, "--mean"),
        deviation=_numbers(deviation, "--deviation"),
        skip_unreadable=skip_unreadable,
        epochs=epochs,
        sample=sample,
        seed=seed,
        quick=quick,
    )
    created = create(
        wishes,
        classifier,
        store=settings.model_store,
        runs=settings.training_runs,
        report=report,
        replace_old=replace,
        say=lambda line: typer.echo(line, err=True),
    )
    _print(created)


def _names(path: Path | None) -> tuple[str, ...] | None:
    """Blank lines are left out."""
    if path is None:
        return None
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as exc:
        raise typer.BadParameter(f"{path} cannot be read as text: {exc}.", param_hint="--classes") from exc
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise typer.BadParameter(f"{path} names {repeated[0]} twice.", param_hint="--classes")
    return names


def _sides(text: str | None, option: str) -> tuple[int, int] | None:
    if text is None:
        return None
    found = re.fullmatch(r"(\d{1,4})(?:[x×](\d{1,4}))?", text.strip())
    if found is None or 0 in (int(found[1]), int(found[2] or found[1])):
        raise typer.BadParameter(f"{text!r} is no size; write 224 or 224x160.", param_hint=option)
    return int(found[1]), int(found[2] or found[1])


def _numbers(text: str, option: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError as exc:
        raise typer.BadParameter(f"{text!r} is no number, nor numbers with commas.", param_hint=option) from exc
    usable = all(abs(number) < 1e6 for number in numbers)  # neither NaN nor infinity
    if not usable or (option == "--deviation" and min(numbers) <= 0):
        raise typer.BadParameter(f"{text!r} cannot be; deviations are above 0.", param_hint=option)
    return numbers


def _print(created: Created) -> None:
    from explaind.cli.tables import print_table

    rows = (
        (assessment.explanation, figure.name, f"{figure.value:.3f}", *figure.bounds(), figure.verdict.value)
        for assessment in created.assessments
        for figure in assessment.figures
    )
    print_table("Figures", ("explanation", "figure", "measured", "good", "doubtful", "verdict"), rows)
    typer.echo("Quality report:")
    for assessment in created.assessments:
        typer.echo(f"  {assessment.sentence()}")
    typer.echo(f"The bundle is {created.bundle}, the report with figures {created.page}.")
