"""Every architecture of ARCHITECTURES.md, built once: shapes, parameter counts, folding.

The counts are taken from the source's lists of layers, written here a second time: `(inputs, outputs, kernel)`,
kernel 1 for linear layers; each of these has a weight and batch norm's two numbers a channel.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import nn

from explaind.backends.torch_networks import build, build_encoder, fold_batch_norm, fold_encoder, parameter_count
from explaind.training.architectures import (
    AUTOENCODER_FAMILIES,
    AUTOENCODERS,
    CLASSIFIERS,
    AutoencoderTable,
    ImageShape,
    autoencoder_table,
    classifier_table,
)

Blocks = Sequence[tuple[int, int, int]]

MNIST = [(1, 16, 5), (16, 32, 3), (32, 64, 3)]
FASHION = [(1, 32, 3), (32, 64, 3), (64, 128, 3), (128, 128, 3)]
CIFAR10 = [(3, 64, 3), (64, 64, 3), (64, 128, 3), (128, 128, 3), (128, 256, 3)]
CIFAR10_VAE = [(3, 64, 3), (64, 128, 3), (128, 256, 3), (256, 128, 3), (128, 128, 5), (128, 256, 3)]
S = [(64, 64, 4), (64, 128, 4), (128, 128, 4), (128, 256, 4)]
M = [(128, 128, 4), (128, 256, 4), (256, 256, 4), (256, 512, 4)]
L = [(256, 256, 4), (256, 256, 4), (256, 512, 4), (512, 512, 4)]


def _blocks(blocks: Blocks) -> int:
    return sum(inputs * outputs * kernel**2 + 2 * outputs for inputs, outputs, kernel in blocks)


def _linear(inputs: int, outputs: int) -> int:
    return (inputs + 1) * outputs


def _mirrored(trunk: Blocks) -> list[tuple[int, int, int]]:
    return [(outputs, inputs, kernel) for inputs, outputs, kernel in reversed(trunk)]


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("pm_mnist_classifier", [*MNIST, (64 * 36, 128, 1)]),
        ("pm_fashion_classifier", [*FASHION, (128 * 36, 128, 1)]),
        ("pm_cifar10_classifier", [*CIFAR10, (256 * 9, 256, 1), (256, 128, 1)]),
    ],
)
def test_a_classifier_has_the_sources_parameters(name: str, blocks: Blocks) -> None:
    table = CLASSIFIERS[name]
    network = build(table.layers).eval()
    assert parameter_count(network) == _blocks(blocks) + _linear(128, 10)
    assert network(torch.rand(2, *table.image_shape)).shape == (2, 10)


@pytest.mark.parametrize("dropout", ["", "_dropout"])
@pytest.mark.parametrize(
    ("name", "trunk", "flat"),
    [
        ("pm_mnist_vae", MNIST, 64 * 36),
        ("pm_fashion_vae", [*FASHION, (128, 256, 3)], 256 * 16),
        ("pm_cifar10_vae", CIFAR10_VAE, 256 * 4),
    ],
)
def test_a_path_mask_vae_has_the_sources_parameters(name: str, trunk: Blocks, flat: int, dropout: str) -> None:
    table = AUTOENCODERS[name + dropout]
    expected_encoder = _blocks([*trunk, (flat, 128, 1)]) + 2 * _linear(128, 100)
    expected_decoder = _blocks([(100, flat, 1), *_mirrored(trunk)]) + flat  # the first layer's bias
    _check_autoencoder(table, expected_encoder, expected_decoder)
    kinds = [layer["kind"] for layer in (*table.trunk, *table.decoder)]
    assert kinds.count("dropout") == (2 if dropout else 0)


@pytest.mark.parametrize("image_shape", [(1, 32, 32), (3, 128, 64), (3, 64, 96)])
@pytest.mark.parametrize(
    ("size", "convolutions", "dense", "latents"),
    [("s", S, (256,), None), ("m", M, (1024, 128), None), ("l", L, (1024, 256), 34)],
)
def test_a_ranking_vae_has_the_sources_parameters(
    size: str, convolutions: Blocks, dense: tuple[int, ...], latents: int | None, image_shape: ImageShape
) -> None:
    channels, height, width = image_shape
    count = latents or 32
    flat = convolutions[-1][1] * height * width // 32**2
    fully = [(i, o, 1) for i, o in zip((flat, *dense[:-1]), dense, strict=True)]
    trunk = [(channels, convolutions[0][0], 4), *convolutions, *fully]
    decoder = [(count, dense[-1], 1), *_mirrored(trunk)]
    _check_autoencoder(
        autoencoder_table(f"lr_{size}_vae", image_shape, latents),
        _blocks(trunk) + 2 * _linear(dense[-1], count),
        _blocks(decoder) + dense[-1],
    )


def _check_autoencoder(table: AutoencoderTable, encoder_parameters: int, decoder_parameters: int) -> None:
    encoder, decoder = build_encoder(table.trunk, table.features, table.latents).eval(), build(table.decoder).eval()
    assert parameter_count(encoder) == encoder_parameters
    assert parameter_count(decoder) == decoder_parameters
    with torch.no_grad():
        mean, deviation = encoder(torch.rand(2, *table.image_shape))
        images = decoder(mean)
    assert mean.shape == deviation.shape == (2, table.latents)
    assert images.shape == (2, *table.image_shape)
    assert 0 <= images.min() <= images.max() <= 1


def test_the_discriminator_has_the_sources_parameters() -> None:
    table = classifier_table("lr_discriminator", (3, 128, 64), 2)
    network = build(table.layers).eval()
    blocks = [(3, 128, 4), *M, (512 * 8, 512, 1), (512, 64, 1)]
    assert parameter_count(network) == _blocks(blocks) + _linear(64, 2)
    assert network(torch.rand(2, 3, 128, 64)).shape == (2, 2)


@pytest.mark.parametrize("name", sorted(AUTOENCODER_FAMILIES))
def test_a_folded_ranking_vae_is_the_same_function(name: str) -> None:
    torch.manual_seed(0)
    shape = (1, 64, 64) if "sprites" in name else (1, 32, 32)
    table = autoencoder_table(name, shape, 5)
    encoder, decoder = build_encoder(table.trunk, table.features, table.latents), build(table.decoder)
    images, codes = torch.rand(2, *shape), torch.randn(2, 5)
    for network in (encoder, decoder):
        _move_statistics(network)
    folded_encoder, trunk = fold_encoder(encoder, table.trunk)
    folded_decoder, layers = fold_batch_norm(decoder, table.decoder)
    assert "batch_norm" not in {layer["kind"] for layer in (*trunk, *layers)}
    torch.testing.assert_close(folded_encoder(images), encoder(images), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(folded_decoder(codes), decoder(codes), rtol=1e-4, atol=1e-5)


def test_the_folded_discriminator_is_the_same_function() -> None:
    torch.manual_seed(0)
    table = classifier_table("lr_discriminator", (3, 64, 32), 2)
    network, images = build(table.layers), torch.rand(2, 3, 64, 32)
    _move_statistics(network)
    folded, _ = fold_batch_norm(network, table.layers)
    torch.testing.assert_close(folded(images), network(images), rtol=1e-4, atol=1e-5)


def _move_statistics(network: nn.Module) -> None:
    """Running statistics away from 0 and 1, or folding them would be tested on nothing; then eval mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.running_mean = torch.randn_like(module.weight) * 0.1
            module.running_var = torch.rand_like(module.weight) + 0.5
    network.eval()


@pytest.mark.parametrize("image_shape", [(1, 28, 28), (2, 64, 64), (3, 128, 72)])
def test_the_ranking_networks_refuse_other_sizes(image_shape: ImageShape) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        autoencoder_table("lr_s_vae", image_shape)


def test_a_table_for_other_images_says_for_which() -> None:
    with pytest.raises(ValueError, match="pm_mnist_vae is for images 1×28×28, the data set's are 3×32×32"):
        autoencoder_table("pm_mnist_vae", (3, 32, 32))
    with pytest.raises(ValueError, match="100 latents, not 10"):
        autoencoder_table("pm_mnist_vae", (1, 28, 28), 10)
    with pytest.raises(ValueError, match="tells 10 classes apart, the data set has 2"):
        classifier_table("pm_mnist_classifier", (1, 28, 28), 2)
