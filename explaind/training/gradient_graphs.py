"""Functions whose graphs hold their own gradient, so that no training framework is needed to explain (DESIGN §4).

`trace` runs autograd once, symbolically in the batch, and keeps every forward and backward step as plain
operations. A convolution's backward has no ONNX operator; with frozen weights it is a convolution again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.proxy_tensor import make_fx

aten = torch.ops.aten
Function = Callable[..., tuple[Tensor, ...]]


def probability_gradient(classifier: nn.Module) -> Function:
    """(images (B, C, H, W), weights (B, K)) → (gradient of Σ_k w_k·p_k(x), probabilities (B, K))."""

    def function(images: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
        images = images.detach().requires_grad_()
        with torch.enable_grad():
            probabilities = torch.softmax(classifier(images), dim=1)
            (gradient,) = torch.autograd.grad(probabilities, images, weights)
        return gradient, probabilities.detach()

    return function


def morph_gradient(decoder: nn.Module, classifier: nn.Module) -> Function:
    """(codes (B, D), weights (B, K)) → (gradient of Σ_k w_k·l_k(dec(z)), logits (B, K) of dec(z))."""

    def function(codes: Tensor, weights: Tensor) -> tuple[Tensor, ...]:
        codes = codes.detach().requires_grad_()
        with torch.enable_grad():
            logits = classifier(decoder(codes))
            (gradient,) = torch.autograd.grad(logits, codes, weights)
        return gradient, logits.detach()

    return function


def trace(
    function: Function,
    inputs: Sequence[Tensor],
    frozen: Sequence[nn.Module],
    table: Mapping[Any, Callable[..., Any]] | None = None,
) -> fx.GraphModule:
    """The operations of `function`, gradients written out. inputs: examples; their B is no other size, nor 1, or
    torch would take the two for the same.

    frozen: the networks inside; their parameters become constants of the graph. table: how operations without an
    ONNX operator are written; None: DECOMPOSITIONS, which is enough for the layer tables.
    """
    for module in frozen:
        module.requires_grad_(False)
    decompositions = dict(DECOMPOSITIONS if table is None else table)
    tracer = make_fx(function, tracing_mode="symbolic", _allow_non_fake_inputs=True, decomposition_table=decompositions)
    return tracer(*inputs)


def _convolution_backward(
    gradient: Tensor,
    inputs: Tensor,
    weight: Tensor,
    bias_sizes: Sequence[int] | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
    output_mask: Sequence[bool],
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """The gradient by the inputs alone: the transposed convolution of a convolution, and the other way round."""
    if output_mask[1] or output_mask[2]:
        raise NotImplementedError("the weights are frozen: a gradient graph is by its inputs only")
    if transposed:
        back = aten.convolution(gradient, weight, None, stride, padding, dilation, False, [0, 0], groups)
    else:
        lost = _lost_pixels(gradient, inputs, weight, stride, padding, dilation)
        back = aten.convolution(gradient, weight, None, stride, padding, dilation, True, lost, groups)
    return back, None, None


def _lost_pixels(
    gradient: Tensor, inputs: Tensor, weight: Tensor, stride: Sequence[int], padding: Sequence[int],
    dilation: Sequence[int],
) -> list[int]:  # fmt: skip
    """Rows and columns at the far edge that a stride which does not divide never read: their gradient is 0."""
    reached = [
        (gradient.shape[2 + axis] - 1) * stride[axis]
        - 2 * padding[axis]
        + dilation[axis] * (weight.shape[2 + axis] - 1)
        for axis in (0, 1)
    ]
    return [inputs.shape[2 + axis] - reached[axis] - 1 for axis in (0, 1)]


def _max_pool_backward(
    gradient: Tensor,
    inputs: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    indices: Tensor,
) -> Tensor:
    """Scatters the gradient to where the maxima were, and adds up where windows overlap."""
    places, values = indices.flatten(2), gradient.flatten(2)
    nothing = torch.zeros_like(inputs).flatten(2)
    apart = not stride or all(step >= size for step, size in zip(stride, kernel_size, strict=True))
    put = aten.scatter if apart else aten.scatter_add  # two windows may share their maximum
    scattered: Tensor = put(nothing, 2, places, values)
    return scattered.reshape(inputs.shape)


DECOMPOSITIONS: Mapping[Any, Callable[..., Any]] = {
    aten.convolution_backward.default: _convolution_backward,
    aten.max_pool2d_with_indices_backward.default: _max_pool_backward,
}
