"""`explaind compare`: what tells two images apart, on the terminal, as JSON or as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from explaind.cli import shared_options as shared
from explaind.cli.options import extra

if TYPE_CHECKING:
    from explaind.cli.explainer import Explainer
    from explaind.v1.explanation_pb2 import LatentDifference, Traversal
    from explaind.v1.explanation_service_pb2 import CompareLatentsResponse
    from explaind.v1.model_service_pb2 import Model


def compare(
    image_a: shared.ImageFile,
    image_b: shared.ImageFile,
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
    """Compare two images, factor by factor: what B has more or less of than A, against what random images differ by."""
    with extra("server"):
        from explaind.cli.explainer import answering, chosen_model
        from explaind.cli.tables import print_json
    with answering(server, model_store, backend) as explainer:
        described = explainer.get_model(chosen_model(explainer, model), version=version)
        response = explainer.compare_latents(
            image_a,
            image_b,
            model=described.name,
            version=described.version,
            latent_space=latent_space,
            resize=resize,
            timeout=timeout,
        )
        strips = [] if figure is None else _strips(explainer, image_a, response, resize, timeout)
    print_json(response) if json else _print(response)
    if figure is not None:
        _draw(response, strips, (image_a, image_b), described, figure)
        typer.echo(f"The figure is {figure}.", err=json)


def _strips(
    explainer: Explainer, image: Path, response: CompareLatentsResponse, resize: bool, timeout: float
) -> list[Traversal]:
    """What A becomes as each factor that the figure shows is turned; of several latents the one that differs most."""
    from explaind.cli.figure_compare import reach, shown

    if not response.differences:
        return []
    answer = explainer.traverse_latents(
        image,
        model=response.model,
        version=response.model_version,
        latent_space=response.latent_space,
        dimensions=[_strongest(difference) for difference in shown(response)],
        low=-reach(response),
        high=reach(response),
        resize=resize,
        timeout=timeout,
    )
    return list(answer.traversals)


def _strongest(difference: LatentDifference) -> int:
    apart = [abs(b - a) for a, b in zip(difference.values_a, difference.values_b, strict=True)]
    return difference.dimensions[apart.index(max(apart))]


def _print(response: CompareLatentsResponse) -> None:
    from explaind.cli import figure_words as words
    from explaind.cli.tables import print_table

    typer.echo(words.pair_reading(response))
    typer.echo(f"They lie {words.nearness(response.same_p_value)}.")
    rows = (
        (difference.label, _values(difference.values_a), _values(difference.values_b), f"{difference.z_score:+.2f}")
        for difference in response.differences
    )
    print_table("What tells B from A (z: 1 is a usual difference)", ("factor", "A", "B", "z"), rows)


def _values(values: object) -> str:
    return ", ".join(f"{value:+.2f}" for value in values)  # type: ignore[attr-defined]


def _draw(
    response: CompareLatentsResponse, strips: list[Traversal], images: tuple[Path, Path], described: Model, out: Path
) -> None:
    with extra("server"):
        from explaind.cli.figure import save
        from explaind.cli.figure_compare import draw_comparison
        from explaind.cli.pixels import model_pixels
    first, second = (model_pixels(image, described) for image in images)
    save(draw_comparison(response, strips, (first, second)), out)
