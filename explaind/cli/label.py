"""`explaind label`: names for latents."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from explaind.cli.options import extra, settings_from
from explaind.errors import ConfigurationError

if TYPE_CHECKING:
    from explaind.backends.bundle_models import BundleModels
    from explaind.bundles.bundle import Bundle

_PICTURED = 7


def label(
    bundle: Path = typer.Argument(help="Folder of a model in the store.", exists=True, file_okay=False),
    version: str = typer.Option("", show_default="the highest", help="Which version."),
    space: str = typer.Option("", show_default="the ranking one", help="Which latent space."),
    out: Path = typer.Option(Path("out"), help="Folder for the picture of the traversals."),
    ask: bool = typer.Option(True, help="Ask for the names; --no-ask only draws."),
) -> None:
    """Draw what every used latent does to the image, and write down the names you give them (labels.toml)."""
    with extra("train"):
        import numpy as np

        from explaind.backends import probe
        from explaind.backends.onnx import open_bundle
        from explaind.bundles import bundle as bundles
        from explaind.training import label as labelling
    loaded = bundles.load(bundle / (version or _highest(bundle)))
    name = space or _ranking_space(loaded)
    reference = loaded.reference.rankings.get(name)
    if reference is None:
        raise typer.BadParameter(f"choose one of {', '.join(loaded.reference.rankings)}", param_hint="--space")
    if ask:
        _require_writable(_labels_file(loaded))
    models: BundleModels = open_bundle(loaded.folder, threads=settings_from().threads)
    picture = out / f"{loaded.name}-{name}-latents.png"
    try:
        # The origin is the most typical image the space knows; beside real ones a factor is easier to name.
        origin = np.zeros((1, len(reference.used)), np.float32)
        autoencoder = models.autoencoders[name]
        centers = np.concatenate([origin, autoencoder.encode(probe.images_in(loaded.folder)[:_PICTURED])[0]])
        labelling.draw_traversals(autoencoder, centers, reference, picture, title=f"{loaded.name} {name}")
    finally:
        models.close()
    typer.echo(f"The traversals are in {picture}; look at it while you answer.")
    if ask:
        _write(loaded, name, labelling.ask(reference, input))


def _write(loaded: Bundle, name: str, factors: object) -> None:
    from explaind.bundles import labels

    path = _labels_file(loaded)
    digest = labels.encoder_digest_in(loaded.folder / "weights.safetensors", name)
    spaces = labels.parse_labels(path) | {name: labels.SpaceLabels(digest, factors)}  # type: ignore[arg-type]
    with _written(path):
        path.write_text(labels.format_labels(spaces), encoding="utf-8")
    typer.echo(f"The names are in {path}.")


def _labels_file(loaded: Bundle) -> Path:
    from explaind.bundles import labels

    return loaded.folder.parent / labels.FILE_NAME


def _require_writable(path: Path) -> None:
    """Found out before a dozen questions, not after."""
    new = not path.exists()
    with _written(path):
        path.open("a").close()
    if new:
        path.unlink()


@contextmanager
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        raise ConfigurationError(f"{path} cannot be written ({exc.strerror}); check the folder's rights.") from exc


def _ranking_space(loaded: Bundle) -> str:
    space = loaded.manifest.space_with_role("ranking")
    return space.name if space is not None else ""


def _highest(folder: Path) -> str:
    from explaind.cli.versions import highest_version

    return highest_version(folder)
