"""Gradients of ReLUs between convolutions as products, where a processor computes convolutions on blocks of channels.

A gradient graph says `Where(r <= 0, 0, g)` for what passes back through a ReLU with the outputs r. onnxruntime keeps
what lies between convolutions in blocks of channels, and knows no such operator on blocks: r and g are laid out anew
for it, and its result for the convolution that follows. Products it knows. So g is multiplied with min(2¹⁰⁰·r, 1), that
is 1 where r is positive, which a convolution of one pixel for each channel and a clip make of r. Where all are finite,
the numbers are the same, but for 0 < r < 2⁻¹⁰⁰. On AVX2, in turns on the demo bundle: 5 gradients of a morph in 0.976
of the time, 20 of a classifier in 0.979, 99 in 0.971; AVX-512 was not measured. The files of a bundle stay as they are.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TypeGuard

import numpy as np
from google.protobuf.message import DecodeError

from explaind.backends.onnx_convolutions import BLOCK, MACHINES, channels
from explaind.backends.onnx_joining import FLOAT, INT, INTS, constant_tensor
from explaind.backends.onnx_stubs import graph_pb2 as pb

_LARGE = np.float32(2.0**100)
_CLOSED, _OPEN = (f"explaind.relu_gradients/{bound}" for bound in ("closed", "open"))
"""0 and 1."""


def with_products(graph: bytes, machine: str = platform.machine()) -> bytes:
    """The graph of an ONNX file, after `with_convolutions`, computing the same. What is not such a file, or has no such
    gradients, is returned as it is."""
    if machine not in MACHINES or b"Where" not in graph:
        return graph
    try:
        model = pb.Model.FromString(graph)
    except DecodeError:
        return graph
    if any(attribute.HasField("g") or attribute.graphs for node in model.graph.node for attribute in node.attribute):
        return graph  # whose graphs within may use any value of this one
    rewriting = _Rewriting(model.graph)
    nodes = [new for node in model.graph.node for new in rewriting.of(node)]
    if not rewriting.replaced:
        return graph
    del model.graph.node[:]
    model.graph.node.extend(rewriting.without_unused(nodes))
    model.graph.initializer.extend(rewriting.constants())
    return model.SerializeToString(deterministic=True)


class _Rewriting:
    """Of one graph. replaced: the comparisons by which a gradient passed that is a product now."""

    def __init__(self, graph: pb.Graph) -> None:
        self._graph = graph
        self._made = {name: node for node in graph.node for name in node.output}
        self._weights = {tensor.name: tensor for tensor in graph.initializer}
        self._channels: dict[str, int] = {}
        self.replaced: set[str] = set()
        self._told = {value.name for values in (graph.value_info, graph.input, graph.output) for value in values}

    def of(self, node: pb.Node) -> Iterator[pb.Node]:
        """`node`, or what takes its place."""
        found = self._gradient_of_relu(node)
        if found is None:
            yield node
            return
        outputs, gradient, channels_of_both = found
        if outputs not in self._channels:
            self._channels[outputs] = channels_of_both
            yield from _passes(outputs, channels_of_both)
        self.replaced.add(node.input[0])
        passing = _named(outputs, "passing")
        for name in (gradient, passing, node.output[0]):
            self._tell_batch(name, _named(outputs, "batch"))
        yield pb.Node(name=node.name, op_type="Mul", input=[gradient, passing], output=node.output)

    def without_unused(self, nodes: list[pb.Node]) -> list[pb.Node]:
        """`nodes` but the comparisons that nobody asks any more."""
        asked = {name for node in nodes for name in node.input} | {value.name for value in self._graph.output}
        unused = self.replaced - asked
        return [node for node in nodes if unused.isdisjoint(node.output)]

    def constants(self) -> list[pb.Tensor]:
        factors = [
            constant_tensor(_named(outputs, "factor"), np.full((count, 1, 1, 1), _LARGE))
            for outputs, count in self._channels.items()
        ]
        bounds = (constant_tensor(name, np.array(value, np.float32)) for name, value in ((_CLOSED, 0.0), (_OPEN, 1.0)))
        return [*factors, *bounds]

    def _gradient_of_relu(self, node: pb.Node) -> tuple[str, str, int] | None:
        """A ReLU's outputs, the gradient by them, and how many channels, where `node` is Where(outputs <= 0, 0,
        gradient) and both come of convolutions whose channels fill their blocks."""
        if not _is(node, "Where", 3) or not self._is_zero(node.input[1]):
            return None
        condition, gradient = self._made.get(node.input[0]), node.input[2]
        if not _is(condition, "LessOrEqual", 2) or not self._is_zero(condition.input[1]):
            return None
        outputs = condition.input[0]
        relu = self._made.get(outputs)
        if not _is(relu, "Relu", 1):
            return None
        count = self._blocked_channels(relu.input[0])
        return (outputs, gradient, count) if count and count == self._blocked_channels(gradient) else None

    def _is_zero(self, name: str) -> bool:
        """A scalar of float32, as all beside it is then too."""
        tensor = self._weights.get(name)
        if tensor is None or tensor.dims or tensor.data_type != FLOAT:
            return False
        return bool(tensor.raw_data) and not any(tensor.raw_data)

    def _blocked_channels(self, value: str) -> int:
        """Of a convolution's outputs; 0: it is none, or has others than whole blocks; of inputs one channel will do."""
        node = self._made.get(value)
        if not _is(node, "Conv", 2, 3) or any(each.name == "group" and each.i != 1 for each in node.attribute):
            return 0
        outputs, inputs = channels(node.input[1], self._weights, self._made) or (1, 1)
        return 0 if outputs % BLOCK or (inputs % BLOCK and inputs != 1) else outputs

    def _tell_batch(self, name: str, batch: str) -> None:
        """That the first of the value's four axes is `batch`: onnxruntime multiplies blocks only where it knows that
        both have one shape."""
        if name in self._told:
            return
        self._told.add(name)
        axes = [pb.Dimension(dim_param=batch), *(pb.Dimension() for _ in range(3))]
        kind = pb.TensorType(elem_type=FLOAT, shape=pb.Shape(dim=axes))
        self._graph.value_info.append(pb.Value(name=name, type=pb.Type(tensor_type=kind)))


def _is(node: pb.Node | None, operator: str, *inputs: int) -> TypeGuard[pb.Node]:
    """inputs: how many there may be."""
    return node is not None and node.op_type == operator and not node.domain and len(node.input) in inputs


def _passes(outputs: str, count: int) -> Iterator[pb.Node]:
    """What makes 1 of each positive output, and 0 of all others. count: of channels."""
    scaled, passing = (_named(outputs, step) for step in ("scaled", "passing"))
    scaling = pb.Node(name=scaled, op_type="Conv", input=[outputs, _named(outputs, "factor")], output=[scaled])
    scaling.attribute.add(name="kernel_shape", ints=(1, 1), type=INTS)
    scaling.attribute.add(name="group", i=count, type=INT)
    yield scaling
    yield pb.Node(name=passing, op_type="Clip", input=[scaled, _CLOSED, _OPEN], output=[passing])


def _named(outputs: str, step: str) -> str:
    return f"explaind.relu_gradients/{outputs}/{step}"
