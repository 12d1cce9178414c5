from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from explaind.training import onnx_files
from explaind.training.foreign.preparation import Preparation, PreparedClassifier
from explaind.training.foreign.program import open_program
from explaind.training.foreign.program_gradients import PROGRAM_DECOMPOSITIONS
from explaind.training.gradient_graphs import probability_gradient, trace
from tests.training.foreign.networks import pooled, save_pt2

PREPARATION = Preparation(image_shape=(1, 9, 10), input_shape=(1, 13, 14), mean=(0.3,), deviation=(0.4,))


def test_the_graph_of_a_program_computes_autograds_gradient(tmp_path: Path) -> None:
    """Resize, normalisation, batch norm, overlapping maxima, means and GELU, from the images' own pixels on."""
    program = open_program(save_pt2(pooled(), tmp_path / "p.pt2", torch.zeros(2, 1, 13, 14)))
    network = PreparedClassifier(program.network, PREPARATION).requires_grad_(False)
    function = probability_gradient(network)
    examples = {"images": torch.zeros(7, 1, 9, 10), "weights": torch.ones(7, 3)}
    traced = trace(function, tuple(examples.values()), (network,), PROGRAM_DECOMPOSITIONS)
    model = onnx_files.export(traced, examples, ("gradient", "probabilities"))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    images, weights = torch.rand(5, 1, 9, 10), torch.randn(5, 3)
    gradient, probabilities = session.run(None, {"images": images.numpy(), "weights": weights.numpy()})
    expected, expected_probabilities = function(images, weights)
    assert expected.abs().max() > 1e-3
    np.testing.assert_allclose(gradient, expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(probabilities, expected_probabilities.numpy(), atol=1e-6)


@pytest.mark.parametrize(
    "pool", [nn.AvgPool2d(2), nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(3, 2), nn.AdaptiveAvgPool2d(4)], ids=str
)
def test_means_give_their_gradient_back_in_equal_parts(pool: nn.Module) -> None:
    network = nn.Sequential(pool, nn.Flatten(), nn.LazyLinear(3))
    network(torch.zeros(1, 2, 8, 8))
    function = probability_gradient(network)
    inputs = (torch.rand(5, 2, 8, 8), torch.randn(5, 3))
    traced = trace(function, inputs, (network,), PROGRAM_DECOMPOSITIONS)
    torch.testing.assert_close(traced(*inputs)[0], function(*inputs)[0], atol=1e-6, rtol=1e-5)
