"""An ONNX classifier: opened by onnxruntime for training, put behind its preparation in one graph for the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, compose, helper, inliner, numpy_helper
from torch import Tensor, nn

from explaind.backends.onnx_runtime import onnxruntime
from explaind.backends.onnx_sessions import ONNXRUNTIME_ERRORS
from explaind.errors import ClassifierInvalid
from explaind.explanations.models import FloatArray
from explaind.training.foreign.preparation import SMALLEST_PROBABILITY, Preparation

OLDEST_OPSET = 9
_PREFIX = "program/"
_SILENT = 4


class OnnxProgram(nn.Module):
    """The file as a module without gradients: input (B, C, H, W) → outputs (B, K), on one thread of the CPU."""

    def __init__(self, path: Path) -> None:
        """Raises ClassifierInvalid."""
        super().__init__()
        self.path = path
        self.model = _load(path)
        self.input_sides = _checked(path, self.model)
        self._session = _session(path)

    def forward(self, images: Tensor) -> Tensor:
        name = self._session.get_inputs()[0].name
        (outputs,) = self._session.run(None, {name: images.detach().contiguous().numpy()})
        return torch.from_numpy(outputs)


def prepared_graph(program: OnnxProgram, preparation: Preparation, classes: int) -> ModelProto:
    """The bundle's classifier graph: `images` (batch, *image_shape) → `logits` (batch, classes)."""
    renamed = compose.add_prefix(inliner.inline_local_functions(program.model), _PREFIX)
    graph = renamed.graph
    source, target = _single(graph)
    before, after = _before(preparation, source.name), _after(preparation, target.name)
    constants = {**before.constants, **after.constants}
    known = {tensor.name for tensor in graph.initializer}
    rebuilt = helper.make_graph(
        [*before.nodes, *graph.node, *after.nodes],
        "classifier",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["batch", *preparation.image_shape])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", classes])],
        [*graph.initializer, *(numpy_helper.from_array(value, name) for name, value in constants.items())],
    )
    assert not known & constants.keys()
    return helper.make_model(rebuilt, opset_imports=list(renamed.opset_import), ir_version=max(renamed.ir_version, 4))


class _Steps:
    """Nodes one after the other, each with at most one constant."""

    def __init__(self, value: str, prefix: str) -> None:
        self.value, self._prefix = value, prefix
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, FloatArray] = {}

    def add(self, operator: str, constant: FloatArray | None = None, *, first: bool = False) -> None:
        """first: the constant is the left operand."""
        inputs = [self.value]
        output = f"{self._prefix}{len(self.nodes)}"
        if constant is not None:
            self.constants[f"{output}_constant"] = constant
            inputs.insert(0 if first else 1, f"{output}_constant")
        self.nodes.append(helper.make_node(operator, inputs, [output]))
        self.value = output

    def end(self, name: str) -> _Steps:
        self.nodes.append(helper.make_node("Identity", [self.value], [name]))
        return self


def _before(preparation: Preparation, name: str) -> _Steps:
    steps = _Steps("images", "prepared")
    if preparation.resizes:
        steps.add("MatMul", preparation.rows(), first=True)
        steps.add("MatMul", preparation.columns())
    if preparation.normalises:
        steps.add("Sub", preparation.center())
        steps.add("Div", preparation.scale())
    return steps.end(name)


def _after(preparation: Preparation, name: str) -> _Steps:
    steps = _Steps(name, "answer")
    if preparation.outputs == "probabilities":
        steps.add("Max", torch.tensor([SMALLEST_PROBABILITY]).numpy())
        steps.add("Log")
    return steps.end("logits")


def _load(path: Path) -> ModelProto:
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as exc:  # protobuf's, onnx's and the file system's errors alike: this file cannot be used
        first = (str(exc).strip() or type(exc).__name__).splitlines()[0][:200]
        raise ClassifierInvalid(f"{path} is no ONNX model ({first}): export the classifier again.") from exc
    return model


def _session(path: Path) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except ONNXRUNTIME_ERRORS as exc:
        first = str(exc).splitlines()[0][:200]
        raise ClassifierInvalid(f"onnxruntime cannot run {path} ({first}): export it with operators it has.") from exc


def _checked(path: Path, model: ModelProto) -> tuple[int, int | None, int | None]:
    """(C, H, W) of its input; None: any."""
    inputs, outputs = _inputs(model.graph), list(model.graph.output)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ClassifierInvalid(
            f"{path} has {len(inputs)} inputs and {len(outputs)} outputs; export a model that takes one tensor of "
            "images and returns one of logits."
        )
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        raise ClassifierInvalid(f"{path} branches or loops (If, Loop, Scan), which a bundle's graph must not.")
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)
    if opset < OLDEST_OPSET:
        raise ClassifierInvalid(f"{path} is of opset {opset}; export it with opset {OLDEST_OPSET} or newer.")
    kind = inputs[0].type.tensor_type
    sides = [dim.dim_value if dim.HasField("dim_value") else None for dim in kind.shape.dim]
    if kind.elem_type != TensorProto.FLOAT or len(sides) != 4:
        found = f"{TensorProto.DataType.Name(kind.elem_type)} of {len(sides)} dimensions"
        raise ClassifierInvalid(f"{path} takes {found}, not FLOAT images (batch, channels, height, width).")
    if sides[0] is not None:
        raise ClassifierInvalid(
            f"{path} takes batches of {sides[0]} only; export it with a dynamic batch (dynamic_shapes or dynamic_axes)."
        )
    if sides[1] not in (1, 3):
        raise ClassifierInvalid(f"{path} takes images of {sides[1]} channels in the second place, not 1 or 3.")
    return sides[1], sides[2], sides[3]


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Old files list their weights among the inputs."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _single(graph: onnx.GraphProto) -> tuple[onnx.ValueInfoProto, onnx.ValueInfoProto]:
    return _inputs(graph)[0], graph.output[0]
