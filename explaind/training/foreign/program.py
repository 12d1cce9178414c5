"""A classifier's file, opened: a torch.export program or an ONNX graph, one image tensor in, one tensor out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from explaind.errors import ClassifierInvalid
from explaind.training.foreign import onnx_program, torch_program
from explaind.training.foreign.preparation import Preparation, PreparedClassifier

Side = int | None


@dataclass(frozen=True, slots=True)
class Program:
    """network: input (B, C, H, W) → outputs (B, K). channels, height, width: of its input; None: any.
    differentiable: its gradients can be had; an ONNX graph has only what it computes forward."""

    network: nn.Module
    channels: int
    height: Side
    width: Side
    differentiable: bool


def open_program(path: Path) -> Program:
    """Raises ClassifierInvalid: no such file, neither kind, several inputs or outputs, a fixed batch, and the like."""
    if not path.is_file():
        raise ClassifierInvalid(f"There is no classifier {path}; name a .pt2 or .onnx file.")
    if path.suffix == ".pt2":
        network, (channels, height, width) = torch_program.load(path)
        return Program(network, channels, height, width, differentiable=True)
    if path.suffix == ".onnx":
        graph = onnx_program.OnnxProgram(path)
        return Program(graph, *graph.input_sides, differentiable=False)
    raise ClassifierInvalid(
        f"{path.name} is neither a .pt2 file (torch.export.save) nor an .onnx file: export the classifier to one of "
        "them; docs/your_own_classifier.md shows how."
    )


def open_prepared(path: Path, preparation: Preparation, *, gradients: bool) -> PreparedClassifier:
    """The classifier as the bundle will serve it. Raises as `open_program`."""
    program = open_program(path)
    prepared = PreparedClassifier(program.network, preparation, gradients=gradients and program.differentiable)
    return prepared.requires_grad_(False)
