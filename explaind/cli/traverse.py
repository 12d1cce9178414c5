"""`explaind traverse`: what an image becomes as its latents are moved, on the terminal, as JSON or as a figure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from explaind.cli import shared_options as shared
from explaind.cli.options import extra

if TYPE_CHECKING:
    from explaind.v1.explanation_service_pb2 import TraverseLatentsResponse
    from explaind.v1.model_service_pb2 import Model

LEVELS = "▁▂▃▄▅▆▇█"


def traverse(
    image: shared.ImageFile,
    dimension: Annotated[
        list[int] | None,
        typer.Option(min=0, max=2**31 - 1, help="A latent to move; repeat it for more.", show_default="every used one"),
    ] = None,
    low: Annotated[float, typer.Option(help="Its first value, from -10.")] = -3.0,
    high: Annotated[float, typer.Option(help="Its last value, up to 10.")] = 3.0,
    steps: Annotated[int, typer.Option(min=2, max=100, help="How many values.")] = 10,
    hold: Annotated[
        Literal["encoded", "zero"], typer.Option(help="The other latents stay at this image's code, or at 0.")
    ] = "encoded",
    model: shared.ModelName = "",
    version: shared.Version = "",
    server: shared.Server = "",
    model_store: shared.ModelStore = None,
    backend: shared.Backend = None,
    latent_space: shared.LatentSpace = "",
    resize: shared.Resize = False,
    timeout: shared.Timeout = 120.0,
    json: shared.Json = False,
    figure: shared.FigureFile = None,
) -> None:
    """Move single latents of an image and see what it becomes, and how likely its class remains."""
    with extra("server"):
        from explaind.cli.explainer import answering, chosen_model
        from explaind.cli.tables import print_json
    with answering(server, model_store, backend) as explainer:
        described = explainer.get_model(chosen_model(explainer, model), version=version)
        response = explainer.traverse_latents(
            image,
            model=described.name,
            version=described.version,
            latent_space=latent_space,
            dimensions=dimension or (),
            low=low,
            high=high,
            steps=steps,
            hold=hold,
            resize=resize,
            timeout=timeout,
        )
    print_json(response) if json else _print(response)
    if figure is not None:
        _draw(response, image, described, hold, figure)
        typer.echo(f"The figure is {figure}.", err=json)


def _print(response: TraverseLatentsResponse) -> None:
    from explaind.cli import figure_words as words
    from explaind.cli.tables import print_table

    typer.echo(words.reading(response.model, response.prediction))
    rows = (
        (
            traversal.label,
            str(traversal.dimension),
            f"{traversal.encoded_value:+.2f}",
            sparkline(traversal.response),
            f"{min(traversal.response):.3f}",
            f"{max(traversal.response):.3f}",
        )
        for traversal in response.traversals
    )
    name = response.prediction.class_name
    ends = (
        f"{response.traversals[0].values[0]:g} to {response.traversals[0].values[-1]:g}" if response.traversals else ""
    )
    columns = ("factor", "latent", "value here", ends, "lowest", "highest")
    print_table(f"How likely {name} is as each latent goes from {ends}", columns, rows)


def sparkline(probabilities: Sequence[float]) -> str:
    """A character for each, the taller the likelier."""
    return "".join(LEVELS[min(int(p * len(LEVELS)), len(LEVELS) - 1)] for p in probabilities)


def _draw(response: TraverseLatentsResponse, image: Path, described: Model, hold: str, out: Path) -> None:
    with extra("server"):
        from explaind.cli.figure import save
        from explaind.cli.figure_traverse import draw_traversals
        from explaind.cli.pixels import model_pixels
    save(draw_traversals(response, model_pixels(image, described), hold=hold), out)
