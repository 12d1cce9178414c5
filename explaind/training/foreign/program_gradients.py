"""How the gradients of a foreign program's operations are written, where ONNX has no operator for them.

Batch norm in eval mode, pooling by means and the usual activations. What is not here and not in ONNX makes the bundle
one without path masks; `explaind new` says which operation it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._decomp import get_decompositions

from explaind.training.gradient_graphs import DECOMPOSITIONS

aten = torch.ops.aten

_TORCH_HAS = (
    aten.native_batch_norm_backward, aten.native_layer_norm_backward, aten.native_group_norm_backward,
    aten.gelu_backward, aten.silu_backward, aten.hardswish_backward, aten.hardsigmoid_backward, aten.hardtanh_backward,
    aten.elu_backward, aten.leaky_relu_backward, aten.softplus_backward, aten.mish_backward, aten.tanh_backward,
    aten.sigmoid_backward, aten.select_backward, aten.slice_backward, aten.native_dropout_backward,
)  # fmt: skip


def _average_pool_backward(
    gradient: Tensor,
    inputs: Tensor,
    kernel_size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Tensor:
    """Each mean's gradient goes to its pixels in equal parts: a transposed convolution, channel by channel."""
    if ceil_mode or divisor_override or (any(padding) and not count_include_pad):
        raise NotImplementedError("the gradient of average pooling with ceil_mode, a divisor or uncounted padding")
    step = list(stride) or list(kernel_size)
    lost = [
        int(inputs.shape[2 + axis])
        + 2 * padding[axis]
        - (int(gradient.shape[2 + axis]) - 1) * step[axis]
        - kernel_size[axis]
        for axis in (0, 1)
    ]
    channels = int(inputs.shape[1])
    share = torch.full((channels, 1, *kernel_size), 1 / (kernel_size[0] * kernel_size[1]))
    spread: Tensor = aten.convolution(
        gradient, share, None, step, list(padding), [1, 1], True, lost, channels
    )  # fmt: skip
    return spread


def _adaptive_average_pool_backward(gradient: Tensor, inputs: Tensor) -> Tensor:
    sides = [(int(inputs.shape[axis]), int(gradient.shape[axis])) for axis in (2, 3)]
    if any(large % small for large, small in sides):
        raise NotImplementedError("the gradient of adaptive average pooling to sides that do not divide")
    kernel = [large // small for large, small in sides]
    return _average_pool_backward(gradient, inputs, kernel, kernel, [0, 0], False, True, None)


PROGRAM_DECOMPOSITIONS: Mapping[Any, Callable[..., Any]] = {
    **get_decompositions(_TORCH_HAS),
    **DECOMPOSITIONS,
    aten.avg_pool2d_backward.default: _average_pool_backward,
    aten._adaptive_avg_pool2d_backward.default: _adaptive_average_pool_backward,
}
