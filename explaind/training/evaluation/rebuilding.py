"""How well a latent space rebuilds images, in the sources' figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from explaind.explanations.models import Autoencoder, Classifier
from explaind.explanations.prediction import predict
from explaind.explanations.reconstruction_losses import losses
from explaind.explanations.types import FloatArray, IntArray

CHUNK = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilding:
    """Means over images. nmae: absolute error over the range of the images' values ([LR]); mse, ssim: per image.
    cross_entropy: Bernoulli, summed over an image's values, nats; kl: to the prior, nats; loss: their sum, what a VAE
    with β 1 minimises, whatever this one was trained on; loss_per_value: cross entropy over the values of an image.
    agreement: share of images that the classifier reads alike after reconstruction."""

    nmae: float
    mse: float
    ssim: float
    cross_entropy: float
    kl: float
    loss: float
    loss_per_value: float
    agreement: float


def rebuilding(autoencoder: Autoencoder, classifier: Classifier, images: FloatArray, classes: IntArray) -> Rebuilding:
    """images (B, C, H, W) in [0, 1]; classes (B,): what the classifier says of them."""
    rows, after = [], []
    for chunk in chunks(images):
        mean, deviation = autoencoder.encode(chunk)
        rebuilt = autoencoder.decode(mean)
        row = losses(chunk, rebuilt)
        divergence = 0.5 * (np.square(mean) + np.square(deviation) - 1 - 2 * np.log(deviation)).sum(axis=1)
        rows.append(np.stack([row.mae, row.mse, row.ssim, row.color_cross_entropy, divergence]))
        after += [p.class_index for p in predict(classifier, rebuilt)]
    mae, mse, ssim, entropy, kl = (float(value) for value in np.concatenate(rows, axis=1).mean(axis=1))
    values = int(np.prod(images.shape[1:]))
    return Rebuilding(
        nmae=mae / float(images.max() - images.min()),
        mse=mse,
        ssim=ssim,
        cross_entropy=entropy * values,
        kl=kl,
        loss=entropy * values + kl,
        loss_per_value=entropy,
        agreement=float(np.mean(np.array(after) == classes)),
    )


def chunks(images: FloatArray) -> Iterator[FloatArray]:
    for start in range(0, len(images), CHUNK):
        yield images[start : start + CHUNK]
