"""Seven attributions of others, by Captum, beside which our masks are measured.

Settings are the usual ones of their authors: Integrated Gradients from a black image in 50 steps; SmoothGrad as the
mean gradient of 25 noisy copies, noise of 0.15 of the range; occlusion by a black window of 5/28 of the height.
Each is of the explained class's logit. Guided backpropagation and deconvolution change the backward pass of ReLUs
only: in a network of leaky ReLUs both are the plain gradient.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from captum.attr import (
    Deconvolution,
    GuidedBackprop,
    InputXGradient,
    IntegratedGradients,
    NoiseTunnel,
    Occlusion,
    Saliency,
)
from torch import Tensor, nn

from explaind.errors import ParameterOutOfRange
from explaind.explanations.types import DoubleArray, FloatArray

INTEGRATION_STEPS = 50
NOISY_COPIES = 25
NOISE = 0.15
_WINDOW = 5 / 28
_BATCH = 20  # images at once: Integrated Gradients holds 50 of each

Attribute = Callable[[nn.Module, Tensor, Tensor], Tensor]


def _saliency(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    return _tensor(Saliency(network).attribute(images, target=classes, abs=False))


def _integrated(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    method = IntegratedGradients(network)
    return _tensor(method.attribute(images, target=classes, n_steps=INTEGRATION_STEPS, internal_batch_size=250))


def _smooth(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    return _tensor(
        NoiseTunnel(Saliency(network)).attribute(
            images,
            nt_type="smoothgrad",
            nt_samples=NOISY_COPIES,
            nt_samples_batch_size=5,
            stdevs=NOISE,
            target=classes,
            abs=False,
        )
    )


def _input_times_gradient(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    return _tensor(InputXGradient(network).attribute(images, target=classes))


def _guided(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    return _tensor(GuidedBackprop(network).attribute(images, target=classes))


def _deconvolution(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    return _tensor(Deconvolution(network).attribute(images, target=classes))


def _occlusion(network: nn.Module, images: Tensor, classes: Tensor) -> Tensor:
    side = max(3, round(_WINDOW * images.shape[2]))
    stride = max(1, side // 2)
    with torch.no_grad():
        return _tensor(
            Occlusion(network).attribute(
                images, target=classes, sliding_window_shapes=(images.shape[1], side, side), strides=(1, stride, stride)
            )
        )


METHODS: Mapping[str, Attribute] = {
    "saliency": _saliency,
    "integrated gradients": _integrated,
    "SmoothGrad": _smooth,
    "gradient × input": _input_times_gradient,
    "guided backpropagation": _guided,
    "deconvolution": _deconvolution,
    "occlusion": _occlusion,
}


def attribute(name: str, network: nn.Module, images: FloatArray, classes: list[int], *, seed: int = 0) -> DoubleArray:
    """name: one of METHODS. images (N, C, H, W), classes: the explained one of each → signed (N, H, W), summed over
    channels. seed: of SmoothGrad's noise. Raises ParameterOutOfRange for an unknown name or classes that do not match.
    """
    if name not in METHODS:
        raise ParameterOutOfRange(f"There is no attribution {name}; choose one of {', '.join(METHODS)}.", field="name")
    if len(classes) != len(images):
        raise ParameterOutOfRange(f"{len(images)} images have {len(classes)} explained classes.", field="classes")
    with _quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        parts = [_part(name, network, images[i : i + _BATCH], classes[i : i + _BATCH])
                 for i in range(0, len(images), _BATCH)]  # fmt: skip
    return np.concatenate(parts) if parts else np.zeros((0, *images.shape[2:]))


def _part(name: str, network: nn.Module, images: FloatArray, classes: list[int]) -> DoubleArray:
    inputs = torch.tensor(images, requires_grad=True)
    values = METHODS[name](network, inputs, torch.tensor(classes))
    return np.asarray(values.detach().double().sum(dim=1).numpy())


def _tensor(value: object) -> Tensor:
    assert isinstance(value, Tensor)  # of one input Captum gives one tensor
    return value


@contextmanager
def _quiet() -> Iterator[None]:
    """Captum says of every guided pass that it sets hooks, which is the method."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting backward hooks on ReLU activations")
        yield
