"""Gradients of ReLUs between convolutions become products of the same numbers, and what is not foreseen stays."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from explaind.backends import networks as tables
from explaind.backends.onnx_convolutions import MACHINES, with_convolutions
from explaind.backends.onnx_relu_gradients import with_products
from tests.backends import demo_graphs

MACHINE = "x86_64"
_ZERO = np.float32(0.0)


def _model(
    *,
    channels: int = 16,
    condition: Sequence[str] = ("LessOrEqual", "r", "zero"),
    where: Sequence[str] = ("closed", "zero", "g"),
    activation: str = "Relu",
    zero: NDArray[Any] | np.generic = _ZERO,
    back: tuple[int, int] | None = None,
    group: int = 1,
) -> ModelProto:
    """x (B, 1, 6, 6), h (B, group, 6, 6) → the gradient by x of a convolution with a ReLU behind it, where h's
    convolution comes back to the ReLU. back: channels out and in of h's."""
    random = np.random.default_rng(3)
    kernels = (channels, 1), back or (channels, 1)
    forth, back_kernels = (random.standard_normal((*each, 3, 3), dtype=np.float32) for each in kernels)
    weights = [
        numpy_helper.from_array(forth, "forth"),
        numpy_helper.from_array(back_kernels, "back"),
        numpy_helper.from_array(np.asarray(zero), "zero"),
        numpy_helper.from_array(np.asarray(np.float32(1.0)), "one"),
    ]
    nodes = [
        helper.make_node("Conv", ["x", "forth"], ["before"]),
        helper.make_node(activation, ["before"], ["r"]),
        helper.make_node("Conv", ["h", "back"], ["g"], group=group),
        helper.make_node(condition[0], condition[1:], ["closed"]),
        helper.make_node("Where", where, ["passed"]),
        helper.make_node("ConvTranspose", ["passed", "forth"], ["y"]),
    ]
    sizes = {"x": 1, "h": group, "y": 1}
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", n, 6, 6]) for name, n in sizes.items()]
    graph = helper.make_graph(nodes, "graph", ends[:2], ends[2:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def _operators(graph: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_from_string(graph).graph.node)


def _run(graph: bytes, x: NDArray[np.float32], h: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(_session(graph).run(None, {"x": x, "h": h})[0])


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])


def _images(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal((3, 1, 6, 6), dtype=np.float32)


@pytest.mark.parametrize("scale", [1.0, 1e-25, 1e30])
def test_the_same_numbers_by_a_product(scale: float) -> None:
    graph = _model().SerializeToString()
    found = with_products(graph, MACHINE)
    onnx.checker.check_model(onnx.load_from_string(found), full_check=True)
    assert _operators(found) == {"Conv": 3, "Relu": 1, "Clip": 1, "Mul": 1, "ConvTranspose": 1}
    x = _images(4) * np.float32(scale)
    x[:, :, :3] = 0.0  # outputs of exactly 0 too
    expected = _run(graph, x, _images(5))
    assert np.count_nonzero(expected)
    np.testing.assert_array_equal(_run(found, x, _images(5)), expected)


@pytest.mark.parametrize(
    "how",
    [
        {"channels": 8},
        {"condition": ("Less", "r", "zero")},
        {"condition": ("LessOrEqual", "r", "one")},
        {"condition": ("LessOrEqual", "zero", "r")},
        {"condition": ("LessOrEqual", "r")},
        {"condition": ("LessOrEqual",)},
        {"where": ("closed", "one", "g")},
        {"where": ("closed", "g", "zero")},
        {"where": ("closed", "zero")},
        {"where": ("elsewhere", "zero", "g")},
        {"activation": "Identity"},
        {"activation": "LeakyRelu"},
        {"zero": np.zeros((1, 1, 1), np.float32)},
        {"zero": np.float64(0.0)},
        {"zero": np.float16(0.0)},
        {"back": (32, 1)},
        {"back": (16, 1), "group": 2},
    ],
    ids=str,
)
def test_what_is_no_such_gradient_stays(how: dict[str, Any]) -> None:
    graph = _model(**how).SerializeToString()
    assert with_products(graph, MACHINE) is graph


@pytest.mark.parametrize("node", range(6))
def test_operators_of_other_domains_stay(node: int) -> None:
    model = _model()
    model.graph.node[node].domain = "elsewhere"
    graph = model.SerializeToString()
    assert (with_products(graph, MACHINE) is graph) == (node < 5)


@pytest.mark.parametrize("axes", [1, 3])
def test_convolutions_over_other_axes_stay(axes: int) -> None:
    model = _model()
    for place, name in enumerate(("forth", "back")):
        kernels = numpy_helper.from_array(np.ones((16, 1, *[3] * axes), np.float32), name)
        model.graph.initializer[place].CopyFrom(kernels)
    graph = model.SerializeToString()
    assert with_products(graph, MACHINE) is graph


def test_kernels_that_someone_else_computes_stay() -> None:
    model = _model()
    model.graph.initializer[1].name = "other"
    model.graph.node.insert(0, helper.make_node("Transpose", ["other"], ["exchanged"], perm=(0, 1, 3, 2)))
    model.graph.node.insert(1, helper.make_node("Slice", ["exchanged", "from", "to"], ["back"]))
    graph = model.SerializeToString()
    assert with_products(graph, MACHINE) is graph


def test_graphs_that_hold_graphs_stay() -> None:
    """What they take from outside is named in them alone."""
    model = _model()
    inner = helper.make_graph([helper.make_node("Not", ["closed"], ["open"])], "inner", [], [])
    model.graph.node.append(helper.make_node("If", ["asked"], ["found"], then_branch=inner, else_branch=inner))
    graph = model.SerializeToString()
    assert with_products(graph, MACHINE) is graph


def test_a_gradient_that_no_convolution_made_stays() -> None:
    model = _model()
    model.graph.node[2].CopyFrom(helper.make_node("Neg", ["before"], ["g"]))
    graph = model.SerializeToString()
    assert with_products(graph, MACHINE) is graph


def test_a_condition_that_someone_else_asks_stays_beside_the_product() -> None:
    model = _model()
    model.graph.node.append(helper.make_node("Not", ["closed"], ["open"]))
    model.graph.output.append(helper.make_tensor_value_info("open", TensorProto.BOOL, ["batch", 16, 4, 4]))
    before = model.SerializeToString()
    found = with_products(before, MACHINE)
    assert (_operators(found)["LessOrEqual"], _operators(found)["Where"]) == (1, 0)
    mine, its = (_session(graph).run(None, {"x": _images(4), "h": _images(5)}) for graph in (found, before))
    for one, other in zip(mine, its, strict=True):
        np.testing.assert_array_equal(one, other)


def test_two_gradients_of_one_relu_share_what_passes() -> None:
    model = _model()
    model.graph.node.extend(
        [
            helper.make_node("Where", ["closed", "zero", "g"], ["again"]),
            helper.make_node("ConvTranspose", ["again", "forth"], ["z"]),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 1, 6, 6]))
    found = with_products(model.SerializeToString(), MACHINE)
    assert (_operators(found)["Mul"], _operators(found)["Clip"]) == (2, 1)
    np.testing.assert_array_equal(
        _run(found, _images(4), _images(5)), _run(model.SerializeToString(), _images(4), _images(5))
    )


def test_on_other_processors_everything_stays() -> None:
    graph = _model().SerializeToString()
    assert with_products(graph, "aarch64") is graph


def test_what_is_no_graph_is_left_for_onnxruntime_to_refuse() -> None:
    assert with_products(b"\xff no graph, Where", MACHINE) == b"\xff no graph, Where"


@pytest.fixture(params=["morphing_morph_gradient.onnx", "classifier_gradient.onnx"])
def name(request: pytest.FixtureRequest) -> str:
    """Of a graph of the demo bundle."""
    return str(request.param)


def _before_and_after(name: str) -> tuple[bytes, bytes]:
    before = with_convolutions(demo_graphs.path_of(name).read_bytes(), MACHINE)
    return before, with_products(before, MACHINE)


def test_the_demo_bundle_s_gradients_are_the_same_numbers(name: str) -> None:
    before, after = _before_and_after(name)
    assert _operators(after)["Where"] < _operators(before)["Where"]
    for mine, its in zip(demo_graphs.outputs(name, after), demo_graphs.outputs(name, before), strict=True):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.skipif(platform.machine() not in MACHINES, reason="onnxruntime computes on blocks on x86-64")
def test_products_stay_on_blocks(name: str, tmp_path: Path) -> None:
    """Else they would cost more than what they stand for."""
    before, after = _before_and_after(name)
    products = _operators(before)["Where"] - _operators(after)["Where"]
    assert _layouts(after, tmp_path) <= _layouts(before, tmp_path) - 2 * products


def _layouts(graph: bytes, folder: Path) -> int:
    """How often onnxruntime lays values out anew, into blocks or out of them."""
    weights, options = demo_graphs.weights(), onnxruntime.SessionOptions()
    options.optimized_model_filepath, options.log_severity_level = str(folder / "optimized.onnx"), 3
    options.add_external_initializers_from_files_in_memory([tables.WEIGHTS], [weights], [len(weights)])
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    operators = _operators((folder / "optimized.onnx").read_bytes())
    return operators["ReorderInput"] + operators["ReorderOutput"]
