"""One request's image is encoded once a latent space, however many explanations ask for its code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from explaind.backends.bundle_models import BundleModels
from explaind.explanations.models import Autoencoder, FloatArray

Code = tuple[FloatArray, FloatArray]


class EncodedOnce:
    """An autoencoder that remembers the code of one image; every other image it encodes as ever. For one thread."""

    def __init__(self, autoencoder: Autoencoder, image: FloatArray) -> None:
        """image: (C, H, W), contiguous; recognised by its memory."""
        self._autoencoder = autoencoder
        self._image = image
        self._code: Code | None = None

    def encode(self, images: FloatArray) -> Code:
        """images (B, C, H, W) in [0, 1] → mean μ(x) and deviation σ(x), each (B, D)."""
        if len(images) != 1 or not np.may_share_memory(images, self._image):
            return self._autoencoder.encode(images)
        if self._code is None:
            self._code = self._autoencoder.encode(images)
        return self._code

    def decode(self, codes: FloatArray) -> FloatArray:
        """codes (B, D) → images (B, C, H, W) in [0, 1]."""
        return self._autoencoder.decode(codes)


def encoded_once(models: BundleModels, image: FloatArray) -> BundleModels:
    """`models`, for the explanations of `image` (C, H, W)."""
    return replace(
        models, autoencoders={space: EncodedOnce(each, image) for space, each in models.autoencoders.items()}
    )
