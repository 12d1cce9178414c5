"""ONNX files that depend on the weights alone: no paths, no traces, and large weights kept once for all graphs.

The exporter writes absolute paths, stack traces and counters into its files. Here each graph is rebuilt from what
is computed: operators, attributes, constants. Constants of 1 KiB or more become references into
weights.safetensors, which PyTorch reads too.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, numpy_helper
from torch import Tensor, nn

from explaind.backends.networks import WEIGHTS

EXTERNAL_BYTES = 1024
_LENGTH_BYTES = 8  # a safetensors file begins with the length of its header


@dataclass(frozen=True, slots=True)
class StoredWeight:
    """A tensor inside weights.safetensors: `length` bytes from `offset`."""

    name: str
    shape: tuple[int, ...]
    offset: int
    length: int


class WeightIndex:
    """Finds stored weights by content, so that every graph that needs one refers to the same bytes."""

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        start = _LENGTH_BYTES + int.from_bytes(content[:_LENGTH_BYTES], "little")
        header: dict[str, dict[str, Any]] = json.loads(content[_LENGTH_BYTES:start])
        self._by_content: dict[tuple[tuple[int, ...], bytes], StoredWeight] = {}
        for name, entry in sorted(header.items()):
            if name != "__metadata__" and entry["dtype"] == "F32":
                first, last = (start + offset for offset in entry["data_offsets"])
                shape = tuple(entry["shape"])
                weight = StoredWeight(name, shape, first, last - first)
                self._by_content.setdefault((shape, content[first:last]), weight)

    def find(self, array: NDArray[Any]) -> StoredWeight | None:
        if array.dtype != np.float32:
            return None
        return self._by_content.get((array.shape, np.ascontiguousarray(array).tobytes()))


def export(module: nn.Module, inputs: Mapping[str, Tensor], outputs: Sequence[str]) -> ModelProto:
    """The module as an ONNX model, its batch dynamic. inputs: examples by name, in the module's order, with a B
    that no other size equals."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        module, tuple(inputs.values()), dynamic_shapes=tuple({0: batch} for _ in inputs), strict=False
    )
    exported = torch.onnx.export(
        program, dynamo=True, input_names=list(inputs), output_names=list(outputs), verbose=False
    )
    assert exported is not None
    return exported.model_proto


def unstored_weights(models: Iterable[ModelProto], index: WeightIndex) -> dict[str, Tensor]:
    """Large float constants of the graphs that weights.safetensors does not have yet, each once: `constant.0` …"""
    found: dict[tuple[tuple[int, ...], bytes], NDArray[Any]] = {}
    for tensor in (tensor for model in models for tensor in model.graph.initializer):
        array = numpy_helper.to_array(tensor)
        if array.dtype == np.float32 and array.nbytes >= EXTERNAL_BYTES and not _stored(array, index):
            found.setdefault((array.shape, array.tobytes()), array)
    return {f"constant.{number}": torch.from_numpy(array.copy()) for number, array in enumerate(found.values())}


def _stored(array: NDArray[Any], index: WeightIndex) -> bool:
    return index.find(array) is not None or (array.ndim == 2 and index.find(array.T) is not None)


def write(path: Path, model: ModelProto, index: WeightIndex) -> None:
    """Writes the clean form of `model` to `path`, beside the weights.safetensors that `index` was made from."""
    clean = _Cleaner(index).clean(model, path.stem)
    path.write_bytes(clean.SerializeToString(deterministic=True))
    onnx.checker.check_model(str(path))


@dataclass(slots=True)
class _Cleaner:
    """Rebuilds one graph under names that follow from its content and order."""

    index: WeightIndex
    names: dict[str, str] = field(default_factory=dict)
    initializers: dict[str, TensorProto] = field(default_factory=dict)
    transposes: list[NodeProto] = field(default_factory=list)

    def clean(self, model: ModelProto, name: str) -> ModelProto:
        graph = model.graph
        self.names |= {value.name: value.name for value in (*graph.input, *graph.output)}
        for tensor in graph.initializer:
            self._keep(tensor)
        nodes = [self._node(position, node) for position, node in enumerate(graph.node)]
        rebuilt = onnx.helper.make_graph(
            [*self.transposes, *nodes],
            name,
            [_signature(value) for value in graph.input],
            [_signature(value) for value in graph.output],
            list(self.initializers.values()),
        )
        opsets = [onnx.helper.make_opsetid(opset.domain, opset.version) for opset in model.opset_import]
        used = {node.domain for node in graph.node}
        opsets = [opset for opset in opsets if opset.domain in used]
        return onnx.helper.make_model(
            rebuilt, producer_name="explaind", opset_imports=opsets, ir_version=model.ir_version
        )

    def _keep(self, tensor: TensorProto) -> None:
        array = numpy_helper.to_array(tensor)
        large = array.nbytes >= EXTERNAL_BYTES
        if large and (weight := self.index.find(array)):
            self.names[tensor.name] = self._refer(weight)
        elif large and array.ndim == 2 and (weight := self.index.find(array.T)):
            self.names[tensor.name] = self._refer_transposed(weight)
        else:
            name = f"constant_{len(self.names)}"
            self.names[tensor.name] = name
            self.initializers[name] = numpy_helper.from_array(array, name)

    def _refer(self, weight: StoredWeight) -> str:
        tensor = TensorProto(name=weight.name, dims=weight.shape, data_type=TensorProto.FLOAT)
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", WEIGHTS), ("offset", weight.offset), ("length", weight.length)):
            tensor.external_data.add(key=key, value=str(value))
        self.initializers[weight.name] = tensor
        return weight.name

    def _refer_transposed(self, weight: StoredWeight) -> str:
        """The exporter transposed it beforehand; a Transpose that onnxruntime folds at load costs no space."""
        source, name = self._refer(weight), f"{weight.name}.transposed"
        if all(node.output[0] != name for node in self.transposes):
            self.transposes.append(onnx.helper.make_node("Transpose", [source], [name], name=name, perm=[1, 0]))
        return name

    def _node(self, position: int, node: NodeProto) -> NodeProto:
        name = f"{node.op_type}_{position}"
        for place, output in enumerate(node.output):
            self.names.setdefault(output, f"{name}_{place}" if place else name)
        clean = NodeProto(op_type=node.op_type, domain=node.domain, name=name)
        clean.input.extend(self.names[value] if value else "" for value in node.input)
        clean.output.extend(self.names[value] if value else "" for value in node.output)
        for attribute in sorted(node.attribute, key=lambda attribute: attribute.name):
            kept = clean.attribute.add()
            kept.CopyFrom(attribute)
            kept.ClearField("doc_string")
        return clean


def _signature(value: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """Name, type and shape; the batch by name."""
    tensor = value.type.tensor_type
    sizes = [dim.dim_value if dim.HasField("dim_value") else "batch" for dim in tensor.shape.dim]
    return onnx.helper.make_tensor_value_info(value.name, tensor.elem_type, sizes)
