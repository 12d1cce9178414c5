"""The networks for dSprites: shapes, the literature's size, and the images they refuse."""

from __future__ import annotations

import itertools

import pytest
import torch

from explaind.backends.torch_networks import build, build_encoder, parameter_count
from explaind.training.architectures import autoencoder_table, classifier_table

SPRITES = (1, 64, 64)


@pytest.mark.parametrize("name", ["sprites_vae", "small_sprites_vae"])
def test_an_autoencoder_takes_and_gives_such_images(name: str) -> None:
    table = autoencoder_table(name, SPRITES, 7)
    encoder, decoder = build_encoder(table.trunk, table.features, table.latents).eval(), build(table.decoder).eval()
    with torch.no_grad():
        mean, deviation = encoder(torch.rand(2, *SPRITES))
        images = decoder(mean)
    assert mean.shape == deviation.shape == (2, 7)
    assert images.shape == (2, *SPRITES)
    assert 0 <= images.min() <= images.max() <= 1


def test_the_larger_autoencoder_has_the_literatures_parameters() -> None:
    """Counted from the paper's list: 4 x 4 kernels with biases, 32, 32, 64, 64 channels, 256 features, 10 latents."""
    table = autoencoder_table("sprites_vae", SPRITES)
    channels = [1, 32, 32, 64, 64]
    kernels = sum(i * o * 16 for i, o in itertools.pairwise(channels))
    encoder = kernels + sum(channels[1:]) + 1025 * 256 + 2 * 257 * 10
    decoder = 11 * 256 + 257 * 1024 + kernels + sum(channels[:-1])
    assert parameter_count(build_encoder(table.trunk, table.features, table.latents)) == encoder
    assert parameter_count(build(table.decoder)) == decoder


@pytest.mark.parametrize("name", ["sprites_classifier", "sprites_judge"])
def test_a_classifier_tells_the_three_shapes_apart(name: str) -> None:
    network = build(classifier_table(name, SPRITES, 3).layers).eval()
    assert network(torch.rand(2, *SPRITES)).shape == (2, 3)


def test_other_images_are_refused() -> None:
    with pytest.raises(ValueError, match="for images 1×64×64, the data set's are 1×28×28"):
        autoencoder_table("small_sprites_vae", (1, 28, 28))
    with pytest.raises(ValueError, match="for images 1×64×64, the data set's are 3×64×64"):
        classifier_table("sprites_classifier", (3, 64, 64), 3)
