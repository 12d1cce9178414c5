"""Of one request's images nothing is computed twice, however many of its explanations ask.

A latent space encodes them once. Where an anomaly score was asked and the backend has a `Scorer`, its one call also
classifies and encodes them: the prediction and whoever wants the code later take what it found.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from explaind.backends.bundle_models import BundleModels
from explaind.explanations.models import Autoencoder, Classifier, FloatArray, Measured, Scorer

Code = tuple[FloatArray, FloatArray]


def encoded_once(models: BundleModels, images: FloatArray) -> BundleModels:
    """`models`, for the explanations of `images`, (C, H, W) or (B, C, H, W). For one thread."""
    known = {space: _Known(images) for space in models.autoencoders}
    scorers = {space: known[space] for space in models.scorers if space in known}
    return replace(
        models,
        classifier=ClassifiedOnce(models.classifier, list(scorers.values())) if scorers else models.classifier,
        autoencoders={space: EncodedOnce(each, known[space]) for space, each in models.autoencoders.items()},
        scorers={space: MeasuredOnce(models.scorers[space], each) for space, each in scorers.items()},
    )


@dataclass(slots=True)
class _Known:
    """What is known of `images` in one latent space; they are contiguous, and recognised by their memory."""

    images: FloatArray
    code: Code | None = None
    measured: Measured | None = None

    def are(self, images: FloatArray) -> bool:
        """Whether `images` (B, C, H, W) are these, all of them."""
        return images.size == self.images.size and np.may_share_memory(images, self.images)


class MeasuredOnce:
    """A scorer that remembers what it found of the request's images."""

    def __init__(self, scorer: Scorer, known: _Known) -> None:
        self._scorer, self._known = scorer, known

    def measure(self, images: FloatArray) -> Measured:
        """images (B, C, H, W) in [0, 1]."""
        if not self._known.are(images):
            return self._scorer.measure(images)
        if self._known.measured is None:
            measured = self._scorer.measure(images)
            self._known.measured, self._known.code = measured, (measured.mean, measured.deviation)
        return self._known.measured


class ClassifiedOnce:
    """A classifier that takes the logits of the request's images from a scorer that was asked before."""

    def __init__(self, classifier: Classifier, known: list[_Known]) -> None:
        self._classifier, self._known = classifier, known

    def logits(self, images: FloatArray) -> FloatArray:
        """images (B, C, H, W) in [0, 1] → logits (B, K)."""
        for known in self._known:
            if known.measured is not None and known.are(images):
                return known.measured.logits
        return self._classifier.logits(images)


class EncodedOnce:
    """An autoencoder that remembers the code of the request's images and what it decodes to; all others it encodes and
    decodes as ever."""

    def __init__(self, autoencoder: Autoencoder, known: _Known) -> None:
        self._autoencoder, self._known = autoencoder, known

    def encode(self, images: FloatArray) -> Code:
        """images (B, C, H, W) in [0, 1] → mean μ(x) and deviation σ(x), each (B, D)."""
        if not self._known.are(images):
            return self._autoencoder.encode(images)
        if self._known.code is None:
            self._known.code = self._autoencoder.encode(images)
        return self._known.code

    def decode(self, codes: FloatArray) -> FloatArray:
        """codes (B, D) → images (B, C, H, W) in [0, 1]; of the scorer's own code, those it found."""
        measured = self._known.measured
        return measured.reconstructions if measured and codes is measured.mean else self._autoencoder.decode(codes)
