"""ONNX graphs put together into one, in memory: the bundle's files stay as they are, their weights are referred to.

Only ONNX's format is known here; nothing is computed, and the onnx package is not needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explaind.backends.onnx_stubs import graph_pb2 as pb

FLOAT, INT64, DOUBLE = 1, 7, 11
"""TensorProto.DataType."""
INT, INTS = 2, 7  # AttributeProto.AttributeType
_TYPES = {np.dtype(np.float32): FLOAT, np.dtype(np.int64): INT64, np.dtype(np.float64): DOUBLE}


class CannotJoin(Exception):
    """These graphs are made in a way that is not foreseen; each by itself may be right."""


class Joined:
    """A graph under construction. Values go by name; their first axis is the batch."""

    def __init__(self, name: str) -> None:
        self._model = pb.Model(producer_name="explaind", graph=pb.Graph(name=name))
        self._versions: dict[str, int] = {}

    # ---- parts ------------------------------------------------------------------------------------------------

    def include(self, model: pb.Model, prefix: str, inputs: Sequence[str]) -> list[str]:
        """`model`'s operators on the values `inputs`, in the order of its own; the names of its outputs, in order.

        Raises CannotJoin for subgraphs, functions, sparse weights and for another version of the operators than the
        other parts have.
        """
        self._take_versions(model)
        graph = model.graph
        if graph.sparse_initializer or model.functions or len(graph.input) != len(inputs):
            raise CannotJoin(f"{prefix} has functions, sparse weights or other inputs than {inputs}")
        names = _Names(prefix, {value.name: known for value, known in zip(graph.input, inputs, strict=True)})
        for initializer in graph.initializer:
            self._model.graph.initializer.add().CopyFrom(initializer)
            self._model.graph.initializer[-1].name = names.of(initializer.name)
        for node in graph.node:
            self._include_node(node, names)
        return [names.of(value.name) for value in graph.output]

    def _take_versions(self, model: pb.Model) -> None:
        self._model.ir_version = max(self._model.ir_version, model.ir_version)
        for operators in model.opset_import:
            if self._versions.setdefault(operators.domain, operators.version) != operators.version:
                raise CannotJoin(f"operators {operators.domain!r} of versions {self._versions} and {operators.version}")

    def _include_node(self, node: pb.Node, names: _Names) -> None:
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise CannotJoin(f"{node.op_type} has a graph of its own")
        copy = self._model.graph.node.add()
        copy.CopyFrom(node)
        copy.name = names.of(node.name)
        copy.input[:] = [names.of(name) for name in node.input]
        copy.output[:] = [names.of(name) for name in node.output]

    # ---- operators --------------------------------------------------------------------------------------------

    def version(self, domain: str = "") -> int:
        """Of the operators that the parts use; 0: of none."""
        return self._versions.get(domain, 0)

    def add(self, operator: str, *inputs: str, **attributes: int) -> str:
        """The name of what `operator` makes of the inputs."""
        return self.split(operator, *inputs, outputs=1, **attributes)[0]

    def split(self, operator: str, *inputs: str, outputs: int, **attributes: int) -> list[str]:
        """As `add`, of an operator with several outputs."""
        name = f"{operator}_{len(self._model.graph.node)}"
        node = self._model.graph.node.add(name=name, op_type=operator)
        node.input.extend(inputs)
        node.output.extend(f"{name}.{place}" for place in range(outputs))
        for key, value in attributes.items():
            node.attribute.add(name=key, i=value, type=INT)
        return list(node.output)

    def constant(self, value: NDArray[Any] | float | Sequence[int]) -> str:
        """A float becomes a scalar of float64, a sequence int64, as shapes and axes are."""
        name = f"constant_{len(self._model.graph.initializer)}"
        self._model.graph.initializer.append(constant_tensor(name, value))
        return name

    # ---- ends -------------------------------------------------------------------------------------------------

    def input(self, name: str, shape: Sequence[int]) -> str:
        """A float32 input (B, *shape)."""
        self._model.graph.input.append(_value(name, FLOAT, shape))
        return name

    def output(self, name: str, value: str, shape: Sequence[int], kind: int = FLOAT) -> None:
        """`value`, (B, *shape), is given out as `name`."""
        self._model.graph.node.add(name=name, op_type="Identity", input=[value], output=[name])
        self._model.graph.output.append(_value(name, kind, shape))

    def serialized(self) -> bytes:
        for domain, version in self._versions.items():
            self._model.opset_import.add(domain=domain, version=version)
        return self._model.SerializeToString(deterministic=True)


def constant_tensor(name: str, value: NDArray[Any] | float | Sequence[int]) -> pb.Tensor:
    """As `Joined.constant`, for whoever changes a graph in place."""
    array = np.ascontiguousarray(value, np.int64 if isinstance(value, list | tuple) else None)
    raw = array.astype(array.dtype.newbyteorder("<")).tobytes()
    # The shape of a scalar is lost on the way to contiguous.
    return pb.Tensor(name=name, dims=np.shape(value), data_type=_TYPES[array.dtype], raw_data=raw)


class _Names:
    """Of one part, in the whole: `known` for its inputs, all others with its prefix. "" is how ONNX leaves out an
    optional input."""

    def __init__(self, prefix: str, known: Mapping[str, str]) -> None:
        self._prefix, self._known = prefix, known

    def of(self, name: str) -> str:
        return self._known.get(name, f"{self._prefix}/{name}") if name else ""


def _value(name: str, kind: int, shape: Sequence[int]) -> pb.Value:
    sizes = [pb.Dimension(dim_param="batch"), *(pb.Dimension(dim_value=size) for size in shape)]
    return pb.Value(name=name, type=pb.Type(tensor_type=pb.TensorType(elem_type=kind, shape=pb.Shape(dim=sizes))))
