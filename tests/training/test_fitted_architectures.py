from __future__ import annotations

import pytest
import torch

from explaind.backends.torch_networks import build, build_encoder
from explaind.training.fitted_architectures import MOST, autoencoder, fitting_shape, narrow_autoencoder


def test_images_too_small_are_refused() -> None:
    with pytest.raises(ValueError, match="10 × 30 pixels are too small"):
        fitting_shape(10, 30)


@pytest.mark.parametrize("shape", [(1, 30, 30), (3, 33, 32), (2, 32, 32)])
def test_shapes_that_a_decoder_cannot_make_are_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="fitted VAE"):
        autoencoder(shape)


@pytest.mark.parametrize(
    ("sides", "fitted"),
    [
        ((28, 28), (28, 28)), ((30, 30), (32, 32)), ((100, 90), (96, 96)), ((128, 64), (128, 64)),
        ((500, 300), (224, 224)),
    ],
)  # fmt: skip
def test_the_nearest_sides_are_taken(sides: tuple[int, int], fitted: tuple[int, int]) -> None:
    assert fitting_shape(*sides) == fitted == fitting_shape(*fitted) and max(fitted) <= MOST


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (3, 64, 48), (3, 224, 224)])
def test_what_goes_in_comes_out_in_shape(shape: tuple[int, int, int]) -> None:
    for table in (autoencoder(shape, 8), narrow_autoencoder(shape, 8)):
        encoder, decoder = build_encoder(table.trunk, table.features, table.latents).eval(), build(table.decoder).eval()
        mean, _ = encoder(torch.rand(2, *shape))
        assert mean.shape == (2, 8) and decoder(mean).shape == (2, *shape)
