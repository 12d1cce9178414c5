"""Which codes the measured paths join."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.explanations.semantic_morphing import morph
from explaind.explanations.types import DoubleArray, FloatArray, PathMaskParameters
from explaind.training.datasets import LabelArray, as_floats
from explaind.training.evaluation.rebuilding import chunks
from explaind.training.evaluation.subject import Subject

_POOL = 20000
"""Training images among which a neighbour is looked for; more are closer and take longer."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """A path's two codes (D,) and the classes they decode to."""

    start: DoubleArray
    end: DoubleArray
    classes: tuple[int, int]

    @property
    def cosine(self) -> float:
        return float(self.start @ self.end / (np.linalg.norm(self.start) * np.linalg.norm(self.end)))


def nearest_of_another_class(
    codes: FloatArray, classes: LabelArray, count: int, random: np.random.Generator
) -> list[tuple[int, int]]:
    """codes (N, D), classes (N,) → `count` random rows, each with the row of another class whose code has the largest
    cosine with its own; fewer where N is smaller. Empty where there is one class only."""
    directions = codes / np.maximum(np.linalg.norm(codes, axis=1, keepdims=True), 1e-12)
    chosen = np.sort(random.permutation(len(codes))[:count])
    found = []
    for row in chosen:
        cosines = np.where(classes == classes[row], -np.inf, directions @ directions[row])
        if np.isfinite(cosines).any():
            found.append((int(row), int(np.argmax(cosines))))
    return found


def training_pairs(subject: Subject, count: int) -> list[Pair]:
    """The source's: training images beside their nearest of another class, by the cosine of their codes μ(x), the
    classes being what the classifier sees in the reconstructions. [PM]"""
    random = np.random.default_rng(subject.recipe.seed)
    images = subject.splits.train.images
    pool = np.sort(random.permutation(len(images))[:_POOL])
    codes, classes = _seen(subject, as_floats(images[pool]))
    pairs = nearest_of_another_class(codes, classes, count, random)
    return [
        Pair(
            start=codes[a].astype(np.float64),
            end=codes[b].astype(np.float64),
            classes=(int(classes[a]), int(classes[b])),
        )
        for a, b in pairs
    ]


def _seen(subject: Subject, images: FloatArray) -> tuple[FloatArray, LabelArray]:
    """μ(x), and what the classifier says of dec(μ(x))."""
    codes, classes = [], []
    for chunk in chunks(images):
        mean = subject.autoencoder.encode(chunk)[0]
        codes.append(mean)
        classes.append(subject.models.classifier.logits(subject.autoencoder.decode(mean)).argmax(axis=1))
    return np.concatenate(codes), np.concatenate(classes).astype(np.int64)


def morph_pairs(subject: Subject, count: int) -> list[Pair]:
    """Ours: the first `count` test images and their morphs into the runner-up, where there is one."""
    models, reference = subject.morphing_models(), subject.morph_reference()
    images = zip(subject.images[:count], subject.predictions[:count], strict=True)
    morphs = [morph(models, reference, image, PathMaskParameters(), prediction=p) for image, p in images]
    return [
        Pair(start=m.z_other, end=m.z_self, classes=(m.other_class, m.self_class))
        for m in morphs
        if m.found and not m.best_so_far
    ]
