from __future__ import annotations

import pytest
import torch

from explaind.backends.torch_networks import build, build_encoder, fold_batch_norm, fold_encoder, parameter_count
from explaind.training.architectures import AUTOENCODERS, CLASSIFIERS


def _after_some_batches(network: torch.nn.Module, *shape: int) -> None:
    """Running statistics away from 0 and 1, or folding them would be tested on nothing."""
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(torch.rand(16, *shape) * 2 - 0.5)
    network.eval()


@pytest.mark.parametrize("name", sorted(CLASSIFIERS))
def test_a_folded_classifier_is_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    table = CLASSIFIERS[name]
    network, images = build(table.layers), torch.rand(4, *table.image_shape)
    _after_some_batches(network, *table.image_shape)
    folded, layers = fold_batch_norm(network, table.layers)
    assert not {layer["kind"] for layer in layers} & {"batch_norm", "dropout"}
    assert folded(images).shape == (4, table.classes)
    torch.testing.assert_close(folded(images), network(images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", sorted(AUTOENCODERS))
def test_a_folded_autoencoder_is_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    table = AUTOENCODERS[name]
    encoder, decoder = build_encoder(table.trunk, table.features, table.latents), build(table.decoder)
    images, codes = torch.rand(4, *table.image_shape), torch.randn(4, table.latents)
    _after_some_batches(encoder, *table.image_shape)
    _after_some_batches(decoder, table.latents)
    folded_encoder, _ = fold_encoder(encoder, table.trunk)
    folded_decoder, _ = fold_batch_norm(decoder, table.decoder)
    torch.testing.assert_close(folded_encoder(images), encoder(images), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(folded_decoder(codes), decoder(codes), rtol=1e-5, atol=1e-5)
    assert folded_decoder(codes).shape == images.shape
    assert (folded_encoder(images)[1] > 0).all()


def test_the_deviation_is_half_the_log_variance_raised() -> None:
    encoder = build_encoder(({"kind": "flatten"},), 4, 2)
    mean, log_variance = encoder.moments(torch.ones(1, 1, 2, 2))
    torch.testing.assert_close(encoder(torch.ones(1, 1, 2, 2)), (mean, torch.exp(log_variance / 2)))


def test_the_ranking_autoencoder_is_small() -> None:
    table = AUTOENCODERS["small_mnist_vae"]
    parts = build_encoder(table.trunk, table.features, table.latents), build(table.decoder)
    assert sum(parameter_count(part) for part in parts) < 200_000


def test_every_other_kind_builds() -> None:
    layers = (
        {"kind": "upsample", "factor": 2},
        {"kind": "max_pool", "kernel": 2},
        {"kind": "leaky_relu", "slope": 0.1},
    )
    image = torch.rand(1, 1, 4, 4)
    torch.testing.assert_close(build(layers)(image), image)


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(ValueError, match="'attention' is not one of batch_norm"):
        build(({"kind": "attention"},))


def test_a_batch_norm_behind_nothing_cannot_be_folded() -> None:
    layers = ({"kind": "relu"}, {"kind": "batch_norm", "features": 1, "dimensions": 2})
    with pytest.raises(ValueError, match="can only be folded"):
        fold_batch_norm(build(layers), layers)
