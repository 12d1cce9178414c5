"""Transposed convolutions of a graph as convolutions, where a processor computes those faster.

With a stride of 1 a transposed convolution is a convolution with its kernels turned round and its channels exchanged.
onnxruntime has blocked kernels for convolutions only; a transposed one it multiplies out and adds up pixel by pixel. On
AVX2, in turns on the demo bundle: 25 decoded images in 0.88 of the time, 18 gradients of a classifier in 0.94, 5 of a
morph in 0.95; one image alone in 1.04; AVX-512 was not measured. The files of a bundle stay as they are.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence

from google.protobuf.message import DecodeError

from explaind.backends.onnx_joining import INTS, constant_tensor
from explaind.backends.onnx_stubs import graph_pb2 as pb

BLOCK = 16
"""Channels of which a multiple takes the blocked kernels on any x86-64; without them a convolution is the slower."""
MACHINES = {"x86_64", "AMD64"}
_FIRST_PLACE = -(2**62)
_TURNED = {"starts": (-1, -1), "ends": (_FIRST_PLACE, _FIRST_PLACE), "axes": (2, 3), "steps": (-1, -1)}


def with_convolutions(graph: bytes, machine: str = platform.machine()) -> bytes:
    """The graph of an ONNX file, computing the same. What is not such a file is returned as it is."""
    if machine not in MACHINES:
        return graph
    try:
        model = pb.Model.FromString(graph)
    except DecodeError:
        return graph
    weights = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    nodes = [new for node in model.graph.node for new in _rewritten(node, weights)]
    if len(nodes) == len(model.graph.node):
        return graph
    for name, values in _TURNED.items():
        model.graph.initializer.append(constant_tensor(_name(name), values))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString(deterministic=True)


def channels(kernels: str, weights: Mapping[str, pb.Tensor], made: Mapping[str, pb.Node]) -> tuple[int, int] | None:
    """Channels out and in of a convolution over height and width by these kernels, turned ones too; None: it is over
    other axes, or its kernels are computed.

    weights: by name; made: the nodes of the graph by the names of what they make.
    """
    turned = kernels in made and kernels.startswith(_name("turned/"))
    tensor = weights.get(made[made[kernels].input[0]].input[0] if turned else kernels)
    if tensor is None or len(tensor.dims) != 4:
        return None
    first, second = tensor.dims[:2]
    return (second, first) if turned else (first, second)


def _rewritten(node: pb.Node, weights: Mapping[str, tuple[int, ...]]) -> Iterator[pb.Node]:
    """`node`, or what takes its place: the kernels' turning, which onnxruntime does once when it opens the graph, and
    the convolution."""
    shape = weights.get(node.input[1], ()) if len(node.input) > 1 else ()
    if node.op_type != "ConvTranspose" or node.domain or len(shape) != 4:
        yield node
        return
    inputs, outputs, *kernel = shape
    pads = _pads(node, kernel)
    if pads is None or inputs % BLOCK or outputs % BLOCK:
        yield node
        return
    exchanged, turned = (f"{_name(step)}/{node.output[0]}" for step in ("exchanged", "turned"))
    exchange = pb.Node(name=exchanged, op_type="Transpose", input=[node.input[1]], output=[exchanged])
    exchange.attribute.append(_attribute("perm", (1, 0, 2, 3)))
    yield exchange
    yield pb.Node(name=turned, op_type="Slice", input=[exchanged, *(_name(each) for each in _TURNED)], output=[turned])
    convolution = pb.Node(name=node.name, op_type="Conv", input=[node.input[0], turned, *node.input[2:]])
    convolution.output.extend(node.output)
    convolution.attribute.extend([_attribute("kernel_shape", kernel), _attribute("pads", pads)])
    yield convolution


def _pads(node: pb.Node, kernel: Sequence[int]) -> tuple[int, ...] | None:
    """Of the convolution; None: `node` is none with turned kernels, or not one that is foreseen."""
    given = {attribute.name: attribute for attribute in node.attribute}
    steady = ((given[name].ints, value) for name, value in (("strides", 1), ("dilations", 1), ("output_padding", 0))
              if name in given)  # fmt: skip
    if any(each != value for values, value in steady for each in values):
        return None
    if "output_shape" in given or ("group" in given and given["group"].i != 1) or _automatic(given):
        return None
    taken = tuple(given["pads"].ints) if "pads" in given else (0, 0, 0, 0)
    pads = tuple(size - 1 - pad for size, pad in zip((*kernel, *kernel), taken, strict=True))
    return pads if min(pads) >= 0 else None


def _automatic(given: Mapping[str, pb.Attribute]) -> bool:
    return "auto_pad" in given and given["auto_pad"].s != b"NOTSET"


def _attribute(name: str, values: Sequence[int]) -> pb.Attribute:
    return pb.Attribute(name=name, ints=values, type=INTS)


def _name(name: str) -> str:
    return f"explaind.convolutions/{name}"
