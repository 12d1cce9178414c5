"""Options that mean the same in every command that asks about images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

ImageFile = Annotated[Path, typer.Argument(help="PNG, JPEG or WebP.", exists=True, dir_okay=False, readable=True)]
ModelName = Annotated[str, typer.Option(show_default="the only one", help="Which model.")]
Version = Annotated[str, typer.Option(show_default="the highest", help="Its version.")]
Server = Annotated[str, typer.Option(help="host:port of a daemon; without it the work is done in this process.")]
ModelStore = Annotated[
    Path | None, typer.Option(show_default="model_store", help="Folder of bundles, where there is no --server.")
]
Backend = Annotated[str | None, typer.Option(show_default="onnx", help="onnx or torch, where there is no --server.")]
LatentSpace = Annotated[str, typer.Option(show_default="the ranking one", help="Which latent space.")]
Resize = Annotated[bool, typer.Option("--resize", help="Bring a wrong size to the model's.")]
Timeout = Annotated[float, typer.Option(min=0.01, help="Seconds to wait for the answer.")]
Json = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")]
FigureFile = Annotated[Path | None, typer.Option(help="Draw the answer into this PNG.")]
