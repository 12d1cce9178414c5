"""Captum's methods on networks whose attributions are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from explaind.errors import ParameterOutOfRange
from explaind.training.evaluation.truth.attributions import METHODS, attribute


def _linear() -> tuple[nn.Module, torch.Tensor]:
    """Class 1's logit is the sum of known weights times the pixels of a 1 × 6 × 6 image."""
    layer, weights = nn.Linear(36, 2), torch.linspace(-1, 1, 36)
    with torch.no_grad():
        layer.weight.copy_(torch.stack([torch.zeros(36), weights]))
        layer.bias.zero_()
    return nn.Sequential(nn.Flatten(), layer).eval().requires_grad_(False), weights.reshape(6, 6)


@pytest.mark.parametrize("name", ["saliency", "SmoothGrad", "guided backpropagation", "deconvolution"])
def test_gradients_of_a_linear_network_are_its_weights(name: str) -> None:
    network, weights = _linear()
    images = np.random.default_rng(0).random((3, 1, 6, 6)).astype(np.float32)
    maps = attribute(name, network, images, [1, 1, 0])
    assert maps.shape == (3, 6, 6)
    assert maps[0] == pytest.approx(weights.numpy(), abs=1e-5) and np.all(maps[2] == 0)


@pytest.mark.parametrize("name", ["integrated gradients", "gradient × input"])
def test_parts_of_a_linear_network_are_weights_times_pixels(name: str) -> None:
    network, weights = _linear()
    images = np.random.default_rng(1).random((2, 1, 6, 6)).astype(np.float32)
    assert attribute(name, network, images, [1, 1]) == pytest.approx(images[:, 0] * weights.numpy(), abs=1e-5)


def test_occlusion_is_largest_where_the_only_weight_is() -> None:
    layer = nn.Linear(144, 2)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[1, 5 * 12 + 5] = 1.0
    network = nn.Sequential(nn.Flatten(), layer)
    maps = attribute("occlusion", network.requires_grad_(False), np.ones((1, 1, 12, 12), np.float32), [1])
    assert maps[0, 5, 5] == maps.max() > 0 and maps[0, 0, 0] == 0


def test_guided_and_deconvolution_let_only_what_raises_pass_a_relu() -> None:
    first, last = nn.Linear(4, 2), nn.Linear(2, 2)
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0]]))
        first.bias.copy_(torch.tensor([1.0, -1.0]))  # the second unit is off
        last.weight.copy_(torch.tensor([[0.0, 0], [1.0, 1.0]]))
    network = nn.Sequential(nn.Flatten(), first, nn.ReLU(), last).requires_grad_(False)
    images = np.zeros((1, 1, 2, 2), np.float32)
    assert attribute("guided backpropagation", network, images, [1])[0].tolist() == [[1, 0], [0, 0]]
    assert attribute("deconvolution", network, images, [1])[0].tolist() == [[1, 1], [0, 0]]


def test_the_same_seed_gives_the_same_noise_and_leaves_torchs_alone() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 8), nn.Tanh(), nn.Linear(8, 2)).requires_grad_(False)
    images = np.random.default_rng(2).random((2, 1, 4, 4)).astype(np.float32)
    state = torch.random.get_rng_state()
    one, same, other = (attribute("SmoothGrad", network, images, [0, 1], seed=seed) for seed in (4, 4, 5))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert torch.equal(state, torch.random.get_rng_state())


def test_colours_are_summed_and_no_images_are_no_maps() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16, 2)).requires_grad_(False)
    for name in METHODS:
        assert attribute(name, network, np.ones((1, 3, 4, 4), np.float32), [0]).shape == (1, 4, 4)
        assert attribute(name, network, np.ones((0, 3, 4, 4), np.float32), []).shape == (0, 4, 4)


def test_an_unknown_name_and_missing_classes_are_refused() -> None:
    network, _ = _linear()
    with pytest.raises(ParameterOutOfRange, match="no attribution lime; choose one of saliency"):
        attribute("lime", network, np.zeros((1, 1, 6, 6), np.float32), [0])
    with pytest.raises(ParameterOutOfRange, match="1 images have 2 explained classes"):
        attribute("saliency", network, np.zeros((1, 1, 6, 6), np.float32), [0, 1])
