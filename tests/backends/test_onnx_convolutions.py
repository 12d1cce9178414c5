"""Transposed convolutions become convolutions of the same numbers, and what is not foreseen stays what it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from explaind.backends.onnx_convolutions import with_convolutions
from tests.backends import demo_graphs

MACHINE = "x86_64"


def _transposed(
    *, channels: tuple[int, int] = (16, 32), kernel: tuple[int, int] = (3, 3), bias: bool = True, **attributes: Any
) -> ModelProto:
    """x (B, channels[0], 6, 5) → its transposed convolution."""
    random = np.random.default_rng(3)
    weights = [numpy_helper.from_array(random.standard_normal((*channels, *kernel), dtype=np.float32), "w")]
    if bias:
        weights.append(numpy_helper.from_array(random.standard_normal(channels[1], dtype=np.float32), "b"))
    node = helper.make_node("ConvTranspose", ["x", *(w.name for w in weights)], ["y"], name="it", **attributes)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", channels[0], 6, 5])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", channels[1], None, None])
    graph = helper.make_graph([node], "graph", [x], [y], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _run(graph: bytes, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"bias": False},
        {"kernel": (5, 3), "pads": (2, 1, 0, 2)},
        {"kernel": (1, 1)},
        {"strides": (1, 1), "dilations": (1, 1), "group": 1, "output_padding": (0, 0), "auto_pad": "NOTSET"},
    ],
)
def test_the_same_numbers_by_a_convolution(attributes: dict[str, Any]) -> None:
    model = _transposed(**attributes)
    graph = with_convolutions(model.SerializeToString(), MACHINE)
    found = onnx.load_from_string(graph)
    onnx.checker.check_model(found, full_check=True)
    assert [node.op_type for node in found.graph.node] == ["Transpose", "Slice", "Conv"]
    x = np.random.default_rng(4).standard_normal((3, 16, 6, 5)).astype(np.float32)
    np.testing.assert_allclose(_run(graph, x), _run(model.SerializeToString(), x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": (2, 2)},
        {"dilations": (1, 2)},
        {"pads": (3, 0, 0, 0)},
        {"auto_pad": "SAME_UPPER"},
        {"output_shape": (8, 7)},
        {"channels": (16, 1)},
        {"channels": (3, 16)},
    ],
)
def test_what_is_no_such_convolution_stays(attributes: dict[str, Any]) -> None:
    graph = _transposed(**attributes).SerializeToString()
    assert with_convolutions(graph, MACHINE) is graph


@pytest.mark.parametrize("shape", [(16,), (16, 32), (16, 32, 3), (16, 32, 3, 3, 3)])
def test_kernels_of_other_axes_stay(shape: tuple[int, ...]) -> None:
    model = _transposed(bias=False)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones(shape, np.float32), "w"))
    graph = model.SerializeToString()
    assert with_convolutions(graph, MACHINE) is graph


def test_weights_that_are_computed_stay() -> None:
    model = _transposed(bias=False)
    model.graph.initializer[0].name = "other"
    model.graph.node.insert(0, helper.make_node("Identity", ["other"], ["w"]))
    graph = model.SerializeToString()
    assert with_convolutions(graph, MACHINE) is graph


def test_on_other_processors_everything_stays() -> None:
    graph = _transposed().SerializeToString()
    assert with_convolutions(graph, "aarch64") is graph


def test_what_is_no_graph_is_left_for_onnxruntime_to_refuse() -> None:
    assert with_convolutions(b"\xff no graph", MACHINE) == b"\xff no graph"


@pytest.mark.parametrize("name", ["morphing_decoder.onnx", "morphing_morph_gradient.onnx", "classifier_gradient.onnx"])
def test_the_demo_bundle_s_graphs_compute_the_same_with_weights_beside_them(name: str) -> None:
    content = demo_graphs.path_of(name).read_bytes()
    graph = with_convolutions(content, MACHINE)
    assert graph != content
    for mine, its in zip(demo_graphs.outputs(name, graph), demo_graphs.outputs(name), strict=True):
        np.testing.assert_allclose(mine, its, rtol=1e-4, atol=2e-5)
