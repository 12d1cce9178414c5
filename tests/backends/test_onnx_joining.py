"""Graphs put together: the same numbers as one after the other, and what is not foreseen is refused."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper

from explaind.backends.onnx_joining import DOUBLE, CannotJoin, Joined
from explaind.backends.onnx_stubs import graph_pb2 as pb
from explaind.explanations.models import FloatArray

WIDTH = 3


def _affine(factor: float, shift: float, *, version: int = 20) -> ModelProto:
    """x (B, 3) → factor·x + shift; every such model has the same names inside."""
    constants = [numpy_helper.from_array(np.full(WIDTH, v, np.float32), n) for n, v in (("a", factor), ("b", shift))]
    nodes = [
        helper.make_node("Mul", ["x", "a"], ["product"], name="first"),
        helper.make_node("Add", ["product", "b"], ["y"], name="second"),
    ]
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH])] for name in ("x", "y")]
    graph = helper.make_graph(nodes, "affine", *ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=10)


def _read(model: ModelProto) -> pb.Model:
    return pb.Model.FromString(model.SerializeToString())


def _run(graph: bytes, x: FloatArray) -> list[FloatArray]:
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    outputs: list[FloatArray] = session.run(None, {"x": x})
    return outputs


def test_one_graph_after_another_computes_both() -> None:
    graph = Joined("both")
    (middle,) = graph.include(_read(_affine(2, 1)), "first", [graph.input("x", (WIDTH,))])
    (end,) = graph.include(_read(_affine(-3, 5)), "second", [middle])
    graph.output("middle", middle, (WIDTH,))
    graph.output("end", end, (WIDTH,))
    onnx.checker.check_model(onnx.load_from_string(graph.serialized()), full_check=True)
    x = np.random.default_rng(0).random((4, WIDTH), dtype=np.float32)
    middle_found, end_found = _run(graph.serialized(), x)
    np.testing.assert_allclose(middle_found, 2 * x + 1, rtol=1e-6)
    np.testing.assert_allclose(end_found, -3 * (2 * x + 1) + 5, rtol=1e-6)


def test_operators_and_constants_of_every_kind() -> None:
    graph = Joined("operators")
    graph.include(_read(_affine(1, 0)), "part", [graph.input("x", (WIDTH,))])
    wide = graph.add("Cast", "x", to=DOUBLE)
    scaled = graph.add("Mul", wide, graph.constant(0.1))
    product = graph.add("MatMul", wide, graph.constant(np.eye(WIDTH) / 10))
    summed = graph.add("ReduceSum", product, graph.constant([1]))
    graph.output("scaled", scaled, (WIDTH,), DOUBLE)
    graph.output("summed", summed, (1,), DOUBLE)
    x = np.random.default_rng(0).random((2, WIDTH), dtype=np.float32)
    scaled_found, summed_found = _run(graph.serialized(), x)
    assert scaled_found.dtype == np.float64
    np.testing.assert_array_equal(scaled_found, x.astype(np.float64) * 0.1)
    np.testing.assert_allclose(summed_found, scaled_found.sum(axis=1, keepdims=True), rtol=1e-15)


def _with_function(model: ModelProto) -> None:
    model.functions.add(name="f", domain="own")


def _with_subgraph(model: ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("body", helper.make_graph([], "inner", [], [])))


def _with_sparse_weights(model: ModelProto) -> None:
    model.graph.sparse_initializer.add()


def _with_two_inputs(model: ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch"]))


@pytest.mark.parametrize("spoil", [_with_function, _with_subgraph, _with_sparse_weights, _with_two_inputs])
def test_what_is_not_foreseen_is_refused(spoil: Callable[[ModelProto], None]) -> None:
    model = _affine(1, 0)
    spoil(model)
    graph = Joined("spoilt")
    with pytest.raises(CannotJoin):
        graph.include(_read(model), "part", [graph.input("x", (WIDTH,))])


def test_operators_of_two_versions_are_not_mixed() -> None:
    graph = Joined("mixed")
    (middle,) = graph.include(_read(_affine(1, 0, version=20)), "first", [graph.input("x", (WIDTH,))])
    assert graph.version() == 20
    with pytest.raises(CannotJoin, match="versions"):
        graph.include(_read(_affine(1, 0, version=18)), "second", [middle])


def test_an_input_that_is_left_out_stays_so() -> None:
    model = _affine(1, 0)
    model.graph.node[0].CopyFrom(helper.make_node("Clip", ["x", "", "a"], ["product"], name="first"))
    graph = Joined("optional")
    (end,) = graph.include(_read(model), "part", [graph.input("x", (WIDTH,))])
    graph.output("end", end, (WIDTH,))
    joined = onnx.load_from_string(graph.serialized())
    assert list(joined.graph.node[0].input) == ["x", "", "part/a"]
