"""How good the classifier is, how well each space rebuilds, and whether an image and its rebuild are read alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

import numpy as np

from explaind.explanations.prediction import predict
from explaind.explanations.types import BoolArray, FloatArray, IntArray
from explaind.training.datasets import as_floats
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.rebuilding import Rebuilding, chunks, rebuilding
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject


def evaluate_classification(subject: Subject) -> dict[str, object]:
    """Accuracy and reconstruction on the whole test set, in each latent space; latents in use."""
    test = subject.splits.calibration, subject.splits.evaluation
    images = as_floats(np.concatenate([part.images for part in test]))
    labels = np.concatenate([part.labels for part in test])
    classes = _classes(subject, images)
    right = classes == labels
    autoencoders = subject.models.autoencoders
    rebuilt = {name: rebuilding(a, subject.models.classifier, images, classes) for name, a in autoencoders.items()}
    rankings = subject.reference.rankings
    return {
        "test_images": len(labels),
        "accuracy": float(np.mean(right)),
        "majority_rate": float(np.bincount(labels).max() / len(labels)),
        "class_accuracy": _by_class(subject, right, labels),
        "judge_accuracy": _judge_accuracy(subject, images, labels),
        "agreement_after_reconstruction": {name: r.agreement for name, r in rebuilt.items()},
        "reconstruction": {name: asdict(r) for name, r in rebuilt.items()},
        "latents": {name: len(r.used) for name, r in rankings.items()},
        "used_latents": {name: int(r.used.sum()) for name, r in rankings.items()},
        "forest_fidelity_served": {name: r.forest_fidelity for name, r in rankings.items() if r.forest is not None},
    }


def _classes(subject: Subject, images: FloatArray) -> IntArray:
    found = [p.class_index for chunk in chunks(images) for p in predict(subject.models.classifier, chunk)]
    return np.array(found, dtype=np.int32)


def _by_class(subject: Subject, right: BoolArray, labels: IntArray) -> dict[str, float]:
    names = enumerate(subject.manifest.class_names)
    return {name: float(np.mean(right[labels == index])) for index, name in names if np.any(labels == index)}


def _judge_accuracy(subject: Subject, images: FloatArray, labels: IntArray) -> float | None:
    """None without a judge in the recipe."""
    if subject.judge is None:
        return None
    return float(np.mean(subject.judge.classes(images) == labels))


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    figures = evaluate_classification(subject)
    page.text(
        f"On all {figures['test_images']} test images: **accuracy {figures['accuracy']:.4f}** (the most frequent class "
        f"alone: {figures['majority_rate']:.3f})." + _judged(figures["judge_accuracy"])
    )
    by_class: object = figures["class_accuracy"]
    assert isinstance(by_class, dict)
    page.table(("class", *by_class), [("accuracy", *by_class.values())])
    page.text(
        "NMAE as [LR]: mean absolute error of the reconstruction over the range of the images' values, which is 1 "
        "where they reach from black to white. The loss is what a plain VAE (β 1) minimises, Bernoulli cross entropy "
        "summed over an image's values plus KL, whatever this space was trained on. A latent is used where its KL and "
        "its visible effect exceed the recipe's thresholds. *Read alike*: the classifier says of the reconstruction "
        "what it says of the image."
    )
    _write_spaces(figures, page)
    return figures


def _judged(accuracy: object) -> str:
    if accuracy is None:
        return " The recipe names no second classifier to judge morphs by."
    return f" The second, independently trained classifier that judges morphs: {accuracy:.4f}."


def _write_spaces(figures: Mapping[str, object], page: Page) -> None:
    spaces, latents, used = figures["reconstruction"], figures["latents"], figures["used_latents"]
    assert isinstance(spaces, dict) and isinstance(latents, dict) and isinstance(used, dict)
    rows = []
    for name, values in spaces.items():
        r = Rebuilding(**values)
        rows.append(
            (name, f"{used[name]} of {latents[name]}", r.nmae, r.mse, r.ssim, r.agreement, r.cross_entropy, r.kl,
             r.loss, r.loss_per_value)
        )  # fmt: skip
    page.table(
        ("space", "used latents", "NMAE", "MSE", "SSIM", "read alike", "cross entropy, nats", "KL, nats", "loss",
         "cross entropy a value"),
        rows,
    )  # fmt: skip


SECTION = Section("classification", "The classifier and the reconstructions", _run)
