"""`explaind`: the commands, and how they fail. Exit codes: 0 done, 1 failed, 2 wrong usage."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import typer
from typer.core import TyperGroup

from explaind import __version__
from explaind.cli.batch import batch
from explaind.cli.bench import bench
from explaind.cli.compare import compare
from explaind.cli.demo import demo
from explaind.cli.evaluate import evaluate
from explaind.cli.explain import explain
from explaind.cli.label import label
from explaind.cli.models import models
from explaind.cli.new import new
from explaind.cli.serve import serve
from explaind.cli.serve_help import ServeCommand
from explaind.cli.train import train
from explaind.cli.traverse import traverse
from explaind.errors import ExplaindError


class ReportingGroup(TyperGroup):
    """Turns a deliberate error into one sentence on standard error. A bug keeps its traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ExplaindError as exc:
            raise _failed(str(exc)) from exc
        except Exception as exc:
            if _is_client_error(exc):
                raise _failed(str(exc)) from exc
            raise


app = typer.Typer(
    name="explaind",
    cls=ReportingGroup,
    help="Explains the decisions of an image classifier: which factors, which pixels, and is the image usual at all.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(
        False, "--version", help="Print the version and end.", is_eager=True, callback=_print_version
    ),
) -> None:
    """What stands before the command."""


EXAMPLES: Mapping[Callable[..., None], str] = {
    demo: "explaind demo",
    explain: "explaind explain digit.png --figure out.png",
    compare: "explaind compare a.png b.png --figure out.png",
    traverse: "explaind traverse digit.png --dimension 1 --dimension 9 --figure out.png",
    serve: "explaind serve --port 50051 --model-store model_store",
    models: "explaind models --server localhost:50051",
    batch: "explaind batch photos/ scores.parquet --model mnist --engine local",
    bench: "explaind bench --target localhost:50051 --explanation path_mask --concurrency 8",
    train: "explaind train model_store/mnist",
    new: "explaind new shoes --classifier shoes.pt2 --images photos/ --mean 0.5 --deviation 0.25",
    label: "explaind label model_store/mnist",
    evaluate: "explaind evaluate model_store/mnist",
}
for command, example in EXAMPLES.items():
    app.command(epilog=f"Example: {example}", cls=ServeCommand if command is serve else None)(command)


def _failed(sentence: str) -> typer.Exit:
    typer.echo(f"explaind: {sentence}", err=True)
    return typer.Exit(1)


def _is_client_error(error: Exception) -> bool:
    # The client's errors come with grpc, which a command that does not call anyone need not load.
    return any(kind.__module__ == "explaind_client.errors" for kind in type(error).__mro__)
