"""Is the VAE good enough for each explanation? Measured on images that nothing was fitted or calibrated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from explaind.explanations import anomaly_score, path_mask
from explaind.explanations.prediction import predict
from explaind.explanations.types import (
    AnomalyBatch,
    AnomalyScoreParameters,
    FloatArray,
    PathMask,
    PathMaskOutcome,
    PathMaskParameters,
    Prediction,
)
from explaind.training.evaluation.subject import Subject

LEVEL = 0.05
"""Or the least that the calibration allows, where that is more."""
Classes = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class QualityExtent:
    """images: rebuilt and scored. morphs: asked for a path mask."""

    images: int = 1000
    morphs: int = 24


QUICK = QualityExtent(images=200, morphs=12)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rebuilt:
    """An image set through one latent space. agreement: share classified alike before and after, by the classifier."""

    images: FloatArray
    classes: Classes
    error: float

    def agreement(self, before: Classes) -> float:
        return float(np.mean(self.classes == before))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quality:
    """images, labels, classes: the evaluation images, their true classes and the classifier's. rebuilt: by latent
    space. inside: their anomaly scores; altered: by kind. masks: of the first images; empty without gradients.
    majority: share of the class most often decided, which a forest must beat."""

    images: FloatArray
    labels: Classes
    classes: Classes
    rebuilt: Mapping[str, Rebuilt]
    used_latents: int
    forest_fidelity: float
    majority: float
    calibration: int
    inside: AnomalyBatch
    altered: Mapping[str, AnomalyBatch]
    masks: tuple[PathMask, ...]

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.classes == self.labels))

    @property
    def false_alarms(self) -> float:
        """Share of the evaluation images with a p-value of at most `level`."""
        return float(np.mean(self.inside.p_values <= self.level))

    @property
    def level(self) -> float:
        return level_for(self.calibration)

    def auroc(self, kind: str) -> float:
        """Of altered images against their originals, by the score."""
        pairs = self.inside.scores, self.altered[kind].scores
        return float(roc_auc_score(np.repeat([0, 1], [len(p) for p in pairs]), np.concatenate(pairs)))


def level_for(calibration: int) -> float:
    return max(LEVEL, 1.0 / (calibration + 1))


def measure(subject: Subject, extent: QualityExtent) -> Quality:
    """subject: the bundle just built, on its serving backend."""
    # A folder's images come class by class.
    rows = np.random.default_rng(subject.recipe.seed).permutation(len(subject.images))[: extent.images]
    images, labels = subject.images[rows], subject.splits.evaluation.labels[rows]
    predictions = [subject.predictions[row] for row in rows]
    classes = np.array([p.class_index for p in predictions], dtype=np.int64)
    ranking = subject.ranking_reference()
    return Quality(
        images=images,
        labels=labels,
        classes=classes,
        rebuilt={name: _rebuilt(subject, name, images) for name in subject.models.autoencoders},
        used_latents=int(ranking.used.sum()),
        forest_fidelity=float(ranking.forest_fidelity),
        majority=float(np.bincount(classes).max() / len(classes)),
        calibration=subject.manifest.calibration_size,
        inside=_scored(subject, images),
        altered={kind: _scored(subject, other) for kind, other in altered(images, subject.recipe.seed).items()},
        masks=_masks(subject, images[: extent.morphs], predictions),
    )


def _rebuilt(subject: Subject, space: str, images: FloatArray) -> Rebuilt:
    autoencoder = subject.models.autoencoders[space]
    rebuilt = autoencoder.decode(autoencoder.encode(images)[0])
    classes = np.array([p.class_index for p in predict(subject.models.classifier, rebuilt)], dtype=np.int64)
    return Rebuilt(images=rebuilt, classes=classes, error=float(np.abs(rebuilt - images).mean()))


def _scored(subject: Subject, images: FloatArray) -> AnomalyBatch:
    assert subject.reference.anomaly is not None
    level = level_for(subject.manifest.calibration_size)
    parameters = AnomalyScoreParameters(level=level)
    return anomaly_score.explain(subject.autoencoder, subject.reference.anomaly, images, parameters)


def _masks(subject: Subject, images: FloatArray, predictions: Sequence[Prediction]) -> tuple[PathMask, ...]:
    """predictions: of the images and perhaps of more after them."""
    models = subject.models.morphing(subject.morphing_name)
    if models is None:
        return ()
    reference, anomaly = subject.morph_reference(), subject.reference.anomaly
    return tuple(
        path_mask.explain(models, reference, anomaly, image, PathMaskParameters(), prediction=prediction)
        for image, prediction in zip(images, predictions, strict=False)
    )


def certified(mask: PathMask) -> bool:
    """The solver's certificate holds: the mask is the best there is, for the path that was found."""
    return mask.outcome is PathMaskOutcome.CONVERGED


def altered(images: FloatArray, seed: int) -> dict[str, FloatArray]:
    """Images that a detector should tell from these, none needing other data: (n, C, H, W) each, seeded."""
    generator = np.random.default_rng(seed)
    grey = generator.random((len(images), 1, 1, 1), dtype=np.float32)
    return {
        "noise": generator.random(images.shape, dtype=np.float32),
        "flat grey": np.broadcast_to(grey, images.shape).copy(),
        "blurred": _blurred(images),
        "quarters swapped": np.roll(images, (images.shape[2] // 2, images.shape[3] // 2), axis=(2, 3)),
        "half contrast": (0.5 * images + 0.25).astype(np.float32),
    }


def _blurred(images: FloatArray) -> FloatArray:
    """By a Gaussian of a fourteenth of the height."""
    from scipy.ndimage import gaussian_filter

    sigma = images.shape[2] / 14
    blurred: FloatArray = gaussian_filter(images, sigma=(0, 0, sigma, sigma)).astype(np.float32)
    return np.clip(blurred, 0, 1)
