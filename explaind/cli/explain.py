"""`explaind explain`: one image, explained on the terminal, as JSON or as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from explaind.cli import shared_options as shared
from explaind.cli.options import extra

if TYPE_CHECKING:
    from explaind.cli.explainer import Explainer
    from explaind.v1.explanation_service_pb2 import ExplainResponse
    from explaind.v1.model_service_pb2 import Model
    from explaind_client import Ask


def explain(
    image: shared.ImageFile,
    model: shared.ModelName = "",
    version: shared.Version = "",
    server: shared.Server = "",
    model_store: shared.ModelStore = None,
    backend: shared.Backend = None,
    ranking: bool = typer.Option(True, help="Rank the latent factors."),
    anomaly: bool = typer.Option(True, help="Score how unusual the image is."),
    path_mask: bool = typer.Option(True, help="Show which pixels decide for this class rather than the runner-up."),
    method: str = typer.Option(
        "",
        show_default="generated_images",
        help="How latents are ranked: generated_images, original_images, random_forest or sobol.",
    ),
    detector: str = typer.Option("", show_default="mahalanobis", help="mahalanobis or logistic_regression."),
    level: float | None = typer.Option(
        None, show_default="0.05", help="False-alarm rate at which an image is called anomalous."
    ),
    solver: str = typer.Option("", show_default="fast", help="fast, or reference: the source's own, about a minute."),
    self_class: int | None = typer.Option(
        None, show_default="the predicted one", help="Index of the class to explain."
    ),
    other_class: int | None = typer.Option(
        None, show_default="the runner-up", help="Index of the class to tell it from."
    ),
    seed: int = typer.Option(0, help="The same seed gives the same answer."),
    resize: shared.Resize = False,
    timeout: shared.Timeout = 120.0,
    json: shared.Json = False,
    figure: shared.FigureFile = None,
) -> None:
    """Explain one image: what it is, what speaks for that, and whether it is a usual image at all."""
    with extra("server"):
        from explaind.cli import asking
        from explaind.cli.explainer import answering, chosen_model
        from explaind.cli.tables import print_answer, print_json
        from explaind_client import Ask
    pictures = figure is not None
    asked = {
        "latent_ranking": ranking and asking.ranking(method, seed, pictures=pictures),
        "anomaly_score": anomaly and asking.anomaly(detector, level, pictures=pictures),
        "path_mask": path_mask
        and asking.path_mask(solver, seed, self_class=self_class, other_class=other_class, pictures=pictures),
    }
    with answering(server, model_store, backend) as explainer:
        described = explainer.get_model(chosen_model(explainer, model), version=version)
        supported = {name: value for name, value in asked.items() if name in described.explanations}
        ask = Ask(model=described.name, version=described.version, resize=resize, **supported)  # type: ignore[arg-type]
        response = _answer(explainer, image, ask, timeout)
    print_json(response) if json else print_answer(response)
    if figure is not None:
        _draw(response, image, described, figure)
        typer.echo(f"The figure is {figure}.", err=json)


def _answer(explainer: Explainer, image: Path, ask: Ask, timeout: float) -> ExplainResponse:
    return explainer.explain(
        image,
        timeout=timeout,
        model=ask.model,
        version=ask.version,
        latent_ranking=ask.latent_ranking,
        anomaly_score=ask.anomaly_score,
        path_mask=ask.path_mask,
        resize=ask.resize,
    )


def _draw(response: ExplainResponse, image: Path, described: Model, figure: Path) -> None:
    with extra("server"):
        from explaind.cli.figure import write_figure
        from explaind.cli.pixels import model_pixels
    write_figure(response, model_pixels(image, described), figure)
