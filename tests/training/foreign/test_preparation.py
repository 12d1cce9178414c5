from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import nn

from explaind.training.foreign.onnx_program import OnnxProgram, prepared_graph
from explaind.training.foreign.preparation import Preparation, PreparedClassifier, resize_matrix
from tests.conftest import ROOT


@pytest.mark.parametrize(("source", "target"), [(28, 64), (32, 28), (50, 13), (16, 16), (7, 224)])
def test_a_resize_is_pillows(source: int, target: int) -> None:
    image = np.random.default_rng(0).random((source, source), dtype=np.float32)
    matrix = resize_matrix(source, target)
    ours = matrix @ image @ matrix.T
    theirs = np.asarray(Image.fromarray(image).resize((target, target), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_classifier_gets_resized_and_normalised_pixels() -> None:
    preparation = Preparation(
        image_shape=(3, 4, 6), input_shape=(3, 8, 12), mean=(0.5, 0.25, 0.0), deviation=(0.5, 0.25, 2.0)
    )
    grey = torch.full((2, 3, 4, 6), 0.5)
    seen = PreparedClassifier(nn.Identity(), preparation)(grey)
    assert seen.shape == (2, 3, 8, 12)
    torch.testing.assert_close(seen[0, :, 0, 0], torch.tensor([0.0, 1.0, 0.25]))


def test_probabilities_become_logits_and_zero_is_no_infinity() -> None:
    preparation = Preparation(image_shape=(1, 2, 2), input_shape=(1, 2, 2), outputs="probabilities")
    logits = PreparedClassifier(nn.Flatten(), preparation)(torch.tensor([[[[0.0, 0.25], [0.5, 0.25]]]]))
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(torch.softmax(logits, 1), torch.tensor([[0.0, 0.25, 0.5, 0.25]]))


def test_the_onnx_graph_prepares_as_the_module_does() -> None:
    """The same file through a graph with its preparation inside, and through torch with onnxruntime behind it."""
    program = OnnxProgram(ROOT / "tests/data/judge.onnx")
    preparation = Preparation(image_shape=(1, 32, 40), input_shape=(1, 28, 28), mean=(0.1,), deviation=(0.7,))
    graph = prepared_graph(program, preparation, 10)
    onnx.checker.check_model(graph)
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    images = torch.rand(5, 1, 32, 40)
    (logits,) = session.run(None, {"images": images.numpy()})
    np.testing.assert_allclose(logits, PreparedClassifier(program, preparation)(images).numpy(), atol=1e-4)
