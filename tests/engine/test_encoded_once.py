"""The image of a request is encoded once a latent space; other images are encoded as ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explaind.backends import onnx
from explaind.engine.encoded_once import encoded_once
from explaind.explanations.models import FloatArray
from tests.conftest import RealImages

BUNDLE = Path(__file__).parents[2] / "model_store" / "mnist" / "1"


@pytest.fixture
def images(real_images: RealImages) -> FloatArray:
    return np.ascontiguousarray(real_images.digits[:3, np.newaxis] / np.float32(255))


class _Counting:
    def __init__(self, autoencoder: object) -> None:
        self._autoencoder, self.encoded = autoencoder, 0

    def encode(self, images: FloatArray) -> tuple[FloatArray, FloatArray]:
        self.encoded += len(images)
        return self._autoencoder.encode(images)  # type: ignore[attr-defined, no-any-return]

    def decode(self, codes: FloatArray) -> FloatArray:
        return self._autoencoder.decode(codes)  # type: ignore[attr-defined, no-any-return]


def test_the_requests_image_is_encoded_once_a_space(images: FloatArray) -> None:
    models = onnx.open_bundle(BUNDLE)
    counting = {space: _Counting(each) for space, each in models.autoencoders.items()}
    models.autoencoders.update(counting)  # type: ignore[arg-type]
    image = images[0]
    shared = encoded_once(models, image)
    for space, autoencoder in shared.autoencoders.items():
        first = autoencoder.encode(image[None])
        again = autoencoder.encode(np.ascontiguousarray(image[None], dtype=np.float32))
        assert again is first
        assert counting[space].encoded == 1
        np.testing.assert_array_equal(first[0], models.autoencoders[space].encode(image[None])[0])


def test_other_images_are_encoded_each_time(images: FloatArray) -> None:
    models = onnx.open_bundle(BUNDLE)
    shared = encoded_once(models, np.ascontiguousarray(images[0])).autoencoders["morphing"]
    own = shared.encode(images[0][None].copy())[0]
    other = shared.encode(images[1][None])[0]
    assert not np.array_equal(own, other)
    both = shared.encode(images[:2])[0]
    np.testing.assert_allclose(both, np.concatenate([own, other]), atol=1e-5)


def test_what_is_decoded_is_the_autoencoders(images: FloatArray) -> None:
    models = onnx.open_bundle(BUNDLE)
    shared = encoded_once(models, images[0]).autoencoders["morphing"]
    mean, _ = shared.encode(images[0][None])
    np.testing.assert_array_equal(shared.decode(mean), models.autoencoders["morphing"].decode(mean))
