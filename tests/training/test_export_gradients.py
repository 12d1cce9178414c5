"""Gradient graphs: against autograd and, where the layers are simple, against the closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from explaind.backends.torch_networks import build, fold_batch_norm
from explaind.training import onnx_files
from explaind.training.architectures import AUTOENCODERS, CLASSIFIERS, Layers
from explaind.training.gradient_graphs import Function, morph_gradient, probability_gradient, trace

Arrays = list[np.ndarray[Any, Any]]


def _through_onnx(function: Function, frozen: tuple[nn.Module, ...], inputs: tuple[Tensor, ...]) -> Arrays:
    """The graph is traced at another batch size than it is asked with."""
    examples = {f"input_{i}": torch.cat([value[:1]] * 11) for i, value in enumerate(inputs)}
    traced = trace(function, tuple(examples.values()), frozen)
    model = onnx_files.export(traced, examples, ("gradient", "value"))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as it is served
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    feeds = {f"input_{i}": value.numpy() for i, value in enumerate(inputs)}
    outputs: Arrays = session.run(None, feeds)
    return outputs


def _conv(kernel: int, stride: int, padding: int, kind: str = "conv") -> dict[str, Any]:
    return {"kind": kind, "in": 1, "out": 2, "kernel": kernel, "stride": stride, "padding": padding, "bias": True}


def _classifier(*layers: dict[str, Any], size: int) -> nn.Sequential:
    torch.manual_seed(0)
    body = build(layers)
    features = body(torch.zeros(1, 1, size, size)).flatten(1).shape[1]
    return nn.Sequential(body, nn.Flatten(), nn.Linear(features, 3)).eval()


@pytest.mark.parametrize(
    ("layers", "size"),
    [
        ([_conv(3, 1, 0), {"kind": "relu"}], 7),
        ([_conv(5, 3, 2), {"kind": "leaky_relu", "slope": 0.1}], 12),
        ([_conv(4, 3, 1), {"kind": "sigmoid"}], 13),  # the stride leaves rows and columns unread
        ([_conv(3, 2, 1, "conv_transpose"), {"kind": "relu"}], 6),
        ([_conv(3, 1, 1), {"kind": "max_pool", "kernel": 2}, {"kind": "upsample", "factor": 2}], 9),
    ],
    ids=["plain", "strided", "not dividing", "transposed", "pooled"],
)
def test_a_graph_computes_autograds_gradient(layers: list[dict[str, Any]], size: int) -> None:
    classifier = _classifier(*layers, size=size)
    images, weights = torch.rand(5, 1, size, size), torch.randn(5, 3)
    function = probability_gradient(classifier)
    gradient, probabilities = _through_onnx(function, (classifier,), (images, weights))
    expected, expected_probabilities = function(images, weights)
    assert np.abs(expected.numpy()).max() > 1e-4
    np.testing.assert_allclose(gradient, expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(probabilities, expected_probabilities.numpy(), atol=1e-6)


def test_the_morph_gradient_of_linear_layers_is_their_product() -> None:
    torch.manual_seed(1)
    decoder, classifier = nn.Linear(4, 6), nn.Linear(6, 3)
    codes, weights = torch.randn(5, 4), torch.randn(5, 3)
    gradient, logits = _through_onnx(morph_gradient(decoder, classifier), (decoder, classifier), (codes, weights))
    closed_form = weights @ classifier.weight.detach() @ decoder.weight.detach()
    np.testing.assert_allclose(gradient, closed_form.numpy(), atol=1e-5)
    np.testing.assert_allclose(logits, classifier(decoder(codes)).detach().numpy(), atol=1e-5)


def test_the_probability_gradient_of_a_linear_classifier_is_the_softmax_rule() -> None:
    torch.manual_seed(2)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(9, 3)).requires_grad_(False)
    images, weights = torch.rand(4, 1, 3, 3), torch.randn(4, 3)
    gradient, p = _through_onnx(probability_gradient(classifier), (classifier,), (images, weights))
    w, matrix = weights.numpy(), classifier[1].weight.numpy()  # type: ignore[operator]
    by_logit = p * (w - (p * w).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(gradient.reshape(4, 9), by_logit @ matrix, atol=1e-6)


def test_rows_of_a_batch_do_not_touch_each_other() -> None:
    classifier = _classifier(_conv(3, 1, 0), {"kind": "relu"}, size=7)
    images, weights = torch.rand(3, 1, 7, 7), torch.randn(3, 3)
    together, _ = _through_onnx(probability_gradient(classifier), (classifier,), (images, weights))
    alone, _ = _through_onnx(probability_gradient(classifier), (classifier,), (images[1:2], weights[1:2]))
    np.testing.assert_allclose(together[1:2], alone, atol=1e-7)


def test_weights_that_still_learn_are_refused() -> None:
    classifier = _classifier(_conv(3, 1, 0), size=7)

    def by_weights(images: Tensor) -> tuple[Tensor, ...]:
        weight = classifier[0][0].weight.requires_grad_()  # type: ignore[index]
        return torch.autograd.grad(classifier(images).sum(), [weight])

    with pytest.raises(NotImplementedError, match="frozen"):
        trace(by_weights, (torch.rand(3, 1, 7, 7),), (classifier,))


def test_a_whole_pooled_classifier_and_an_upsampling_decoder() -> None:
    """[PM]'s CIFAR-10 networks, folded: max_pool backwards in one, upsample in the other."""
    torch.manual_seed(3)
    table, space = CLASSIFIERS["pm_cifar10_classifier"], AUTOENCODERS["pm_cifar10_vae"]
    classifier = _served(table.layers, table.image_shape)
    decoder = _served(space.decoder, (space.latents,))
    images, codes, weights = torch.rand(4, 3, 32, 32), torch.randn(4, space.latents), torch.randn(4, 10)
    for function, frozen, inputs in (
        (probability_gradient(classifier), (classifier,), (images, weights)),
        (morph_gradient(decoder, classifier), (decoder, classifier), (codes, weights)),
    ):
        gradient, value = _through_onnx(function, frozen, inputs)
        expected, expected_value = function(*inputs)
        largest = np.abs(expected.numpy()).max()
        assert largest > 1e-5
        np.testing.assert_allclose(gradient, expected.numpy(), atol=1e-4 * largest)
        np.testing.assert_allclose(value, expected_value.numpy(), atol=1e-5)


def _served(layers: Layers, shape: tuple[int, ...]) -> nn.Sequential:
    """Folded with a batch's statistics: without them a deep decoder's images are all but flat, and in a flat image
    every pooling window is a tie that rounding decides."""
    network = build(layers)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(torch.randn(16, *shape))
    return fold_batch_norm(network.eval(), layers)[0]
