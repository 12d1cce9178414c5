"""Files that no bundle can be built around, each with the reason; then one that can."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from explaind.errors import ClassifierInvalid
from explaind.training.foreign.program import open_program
from tests.conftest import ROOT
from tests.training.foreign.networks import Pooled, pooled, save_pt2

IMAGES = torch.zeros(2, 1, 12, 12)


class _Two(nn.Module):
    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        return first.flatten(1), second.flatten(1)


def _nothing(folder: Path) -> Path:
    return folder / "none.pt2"


def _other_kind(folder: Path) -> Path:
    path = folder / "weights.pth"
    torch.save(pooled().state_dict(), path)
    return path


def _rubbish(folder: Path) -> Path:
    path = folder / "rubbish.pt2"
    path.write_bytes(b"no program at all")
    return path


def _truncated(folder: Path) -> Path:
    path = save_pt2(pooled(), folder / "cut.pt2", IMAGES)
    path.write_bytes(path.read_bytes()[:-500])
    return path


def _fixed_batch(folder: Path) -> Path:
    return save_pt2(pooled(), folder / "fixed.pt2", IMAGES, dynamic=False)


def _two_inputs(folder: Path) -> Path:
    return save_pt2(_Two(), folder / "two.pt2", IMAGES, IMAGES)


def _in_training(folder: Path) -> Path:
    return save_pt2(Pooled().train(), folder / "training.pt2", IMAGES)


def _flat_input(folder: Path) -> Path:
    return save_pt2(nn.Linear(4, 3), folder / "flat.pt2", torch.zeros(2, 4))


def _five_channels(folder: Path) -> Path:
    return save_pt2(pooled(5), folder / "five.pt2", torch.zeros(2, 5, 12, 12))


def _rubbish_onnx(folder: Path) -> Path:
    path = folder / "rubbish.onnx"
    path.write_bytes(b"no graph at all")
    return path


def _onnx(path: Path, batch: int | str, kind: int, inputs: int) -> Path:
    values = [helper.make_tensor_value_info(f"x{i}", kind, [batch, 1, 4, 4]) for i in range(inputs)]
    output = helper.make_tensor_value_info("y", kind, [batch, 16])
    node = helper.make_node("Flatten", ["x0"], ["y"])
    graph = helper.make_graph([node], "g", values, [output])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (_nothing, "There is no classifier"),
        (_other_kind, "neither a .pt2 file"),
        (_rubbish, "no torch.export program"),
        (_truncated, "no torch.export program"),
        (_fixed_batch, "batches of 2 only"),
        (_two_inputs, "2 inputs and 2 outputs"),
        (_in_training, "training mode"),
        (_flat_input, "of 2 dimensions"),
        (_five_channels, "5 channels"),
        (_rubbish_onnx, "no ONNX model"),
        (lambda folder: _onnx(folder / "fixed.onnx", 1, TensorProto.FLOAT, 1), "batches of 1 only"),
        (lambda folder: _onnx(folder / "two.onnx", "batch", TensorProto.FLOAT, 2), "2 inputs"),
        (lambda folder: _onnx(folder / "double.onnx", "batch", TensorProto.DOUBLE, 1), "DOUBLE of 4 dimensions"),
    ],
)
@pytest.mark.filterwarnings("ignore")  # torch's own, about what it is given
def test_a_file_that_cannot_be_used_is_refused_with_its_reason(
    make: Callable[[Path], Path], said: str, tmp_path: Path
) -> None:
    with pytest.raises(ClassifierInvalid, match=said):
        open_program(make(tmp_path))


def test_a_program_is_opened_with_its_sides_and_computes_as_before(tmp_path: Path) -> None:
    network = pooled()
    program = open_program(save_pt2(network, tmp_path / "good.pt2", IMAGES))
    assert (program.channels, program.height, program.width, program.differentiable) == (1, 12, 12, True)
    images = torch.rand(5, 1, 12, 12)
    torch.testing.assert_close(program.network(images), network(images))


def test_an_onnx_file_has_no_gradients() -> None:
    program = open_program(ROOT / "tests/data/judge.onnx")
    assert (program.channels, program.height, program.width, program.differentiable) == (1, 28, 28, False)
