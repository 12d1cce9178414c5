"""Small models in NumPy with exact gradients, whose morphs and masks can be checked by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.explanations.models import MorphingModels
from explaind.explanations.prediction import softmax
from explaind.explanations.types import MorphReference

SIDE, LATENTS, CLASSES = 12, 6, 3


class Decoder:
    """Sigmoid of smooth patterns; the encoder inverts it exactly, with deviation 0.1."""

    def __init__(self, side: int = SIDE, latents: int = LATENTS, seed: int = 30) -> None:
        grid = np.linspace(0, 1, side)
        rows, columns = np.meshgrid(grid, grid, indexing="ij")
        centers = np.random.default_rng(seed).random((latents, 2))
        bumps = [np.exp(-(((rows - r) ** 2 + (columns - c) ** 2) / 0.05)) for r, c in centers]
        self.patterns = np.stack(bumps).reshape(latents, -1) - 0.2
        self.side = side

    def encode(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = np.clip(images.reshape(len(images), -1).astype(np.float64), 1e-6, 1 - 1e-6)
        mean = np.log(inside / (1 - inside)) @ np.linalg.pinv(self.patterns)
        return mean.astype(np.float32), np.full(mean.shape, 0.1, np.float32)

    def decode(self, codes: np.ndarray) -> np.ndarray:
        flat = 1 / (1 + np.exp(-codes.astype(np.float64) @ self.patterns))
        return flat.reshape(-1, 1, self.side, self.side).astype(np.float32)


class TemplateClassifier:
    """logit_k = 24·tanh(⟨template_k, x − ½⟩/6): not linear, and each class can be reached."""

    def __init__(self, templates: np.ndarray) -> None:
        self.templates = templates

    def _hidden(self, images: np.ndarray) -> np.ndarray:
        return np.tanh((images.reshape(len(images), -1).astype(np.float64) - 0.5) @ self.templates.T / 6)

    def logits(self, images: np.ndarray) -> np.ndarray:
        return (24 * self._hidden(images)).astype(np.float32)

    def logit_slope(self, images: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return (4 * weights * (1 - self._hidden(images) ** 2)) @ self.templates

    def probability_gradient(self, images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        p = softmax(24 * self._hidden(images))
        pulled = p * (weights - (p * weights).sum(axis=1, keepdims=True))
        return self.logit_slope(images, pulled).reshape(images.shape).astype(np.float32), p.astype(np.float32)


class AffineClassifier:
    """Two classes; p_0 = ½ + w·(x − ½) exactly linear in the pixels, so that every J is linear in the mask."""

    def __init__(self, weights: np.ndarray) -> None:
        self.weights = weights.reshape(-1)

    def _probability(self, images: np.ndarray) -> np.ndarray:
        p = 0.5 + (images.reshape(len(images), -1).astype(np.float64) - 0.5) @ self.weights
        assert ((p > 0) & (p < 1)).all(), "the test's images must stay where the classifier is linear"
        return np.stack([p, 1 - p], axis=1)

    def logits(self, images: np.ndarray) -> np.ndarray:
        return np.log(self._probability(images)).astype(np.float32)

    def probability_gradient(self, images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        slope = (weights[:, :1] - weights[:, 1:]) * self.weights
        return slope.reshape(images.shape).astype(np.float32), self._probability(images).astype(np.float32)


class ConstantClassifier:
    """The same logits for every image."""

    def __init__(self, logits: tuple[float, ...] = (2.0, 1.0, 0.0)) -> None:
        self._row = np.array(logits, np.float32)

    def logits(self, images: np.ndarray) -> np.ndarray:
        return np.repeat(self._row[None], len(images), axis=0)

    def logit_slope(self, images: np.ndarray, weights: np.ndarray) -> np.ndarray:
        return np.zeros((len(images), images[0].size))

    def probability_gradient(self, images: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(images.shape, np.float32), softmax(self.logits(images)).astype(np.float32)


@dataclass
class Composed:
    """The morph gradient of a decoder and a classifier; counts its calls and the codes it was given."""

    decoder: Decoder
    classifier: TemplateClassifier | ConstantClassifier
    calls: int = 0
    codes: int = 0

    def logit_gradient(self, codes: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        self.calls += 1
        self.codes += len(codes)
        images = self.decoder.decode(codes)
        flat = images.reshape(len(codes), -1).astype(np.float64)
        slope = self.classifier.logit_slope(images, weights) * flat * (1 - flat)
        return (slope @ self.decoder.patterns.T).astype(np.float32), self.classifier.logits(images)


def template_models() -> MorphingModels:
    """Class k's template is the picture of two latents; `code_of` gives a code well inside a class."""
    decoder = Decoder()
    templates = decoder.decode(np.stack([code_of(k) for k in range(CLASSES)])).reshape(CLASSES, -1) - 0.5
    classifier = TemplateClassifier(templates - templates.mean(axis=0))
    return MorphingModels(classifier, classifier, decoder, Composed(decoder, classifier))


def constant_models() -> MorphingModels:
    decoder, classifier = Decoder(), ConstantClassifier()
    return MorphingModels(classifier, classifier, decoder, Composed(decoder, classifier))


def code_of(index: int) -> np.ndarray:
    """(LATENTS,): latents 2k and 2k + 1 at 3."""
    code = np.zeros(LATENTS, np.float32)
    code[[2 * index, 2 * index + 1]] = 3.0
    return code


def image_of(index: int) -> np.ndarray:
    return Decoder().decode(code_of(index)[None])[0]


REFERENCE = MorphReference(class_norms=np.full(CLASSES, 4.2), likelihood_weight=0.1)
