"""A torch.export program (.pt2): opened, its signature checked, and made a module whose gradients can be traced."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from explaind.errors import ClassifierInvalid

Sides = tuple[int, int | None, int | None]
_EXPORT = "torch.export.export(model.eval(), (images,), dynamic_shapes=({0: torch.export.Dim('batch')},))"


def load(path: Path) -> tuple[nn.Module, Sides]:
    """The program as a module and its input's (C, H, W); None: any. Raises ClassifierInvalid."""
    program = _load(path)
    sides = _checked(path, program)
    # Without in-place operations, and without the guards that symbolic tracing would trip over.
    functional = program.run_decompositions({})
    if functional.graph_signature.buffers_to_mutate:
        raise ClassifierInvalid(
            f"{path} was exported in training mode: it changes its own statistics. Export it again with {_EXPORT}."
        )
    return functional.module(check_guards=False).requires_grad_(False), sides


def _load(path: Path) -> torch.export.ExportedProgram:
    try:
        return torch.export.load(path)
    except Exception as exc:  # zip, json, torch and operator errors alike: this file cannot be used
        first = (str(exc).strip() or type(exc).__name__).splitlines()[0][:200]
        raise ClassifierInvalid(
            f"{path} is no torch.export program that this torch ({torch.__version__}) can read ({first}): "
            "save it with torch.export.save, not torch.save."
        ) from exc


def _checked(path: Path, program: torch.export.ExportedProgram) -> Sides:
    signature = program.graph_signature
    inputs, outputs = signature.user_inputs, signature.user_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ClassifierInvalid(
            f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; export a module that takes one tensor of "
            "images and returns one of logits."
        )
    value = _input_value(program, str(inputs[0]))
    if not isinstance(value, torch.Tensor) or value.ndim != 4 or value.dtype != torch.float32:
        found = f"{value.dtype} of {value.ndim} dimensions" if isinstance(value, torch.Tensor) else type(value).__name__
        raise ClassifierInvalid(f"{path} takes {found}, not float32 images (batch, channels, height, width).")
    sizes: tuple[Any, ...] = tuple(value.shape)
    batch, channels, height, width = sizes
    if isinstance(batch, int):
        raise ClassifierInvalid(
            f"{path} takes batches of {batch} only; make the batch dynamic: {_EXPORT} with an example of 2 images."
        )
    if not isinstance(channels, int) or channels not in (1, 3):
        raise ClassifierInvalid(f"{path} takes images of {channels} channels in the second place, not 1 or 3.")
    return channels, _fixed(height), _fixed(width)


def _input_value(program: torch.export.ExportedProgram, name: str) -> Any:
    return next(node.meta.get("val") for node in program.graph.nodes if node.name == name)


def _fixed(side: object) -> int | None:
    return side if isinstance(side, int) else None
