"""How good the classifier is, and whether it says the same of an image and its reconstruction."""

from __future__ import annotations

import numpy as np

from explaind.explanations.prediction import predict
from explaind.training.datasets import as_floats
from explaind.training.evaluation.subject import Subject


def evaluate_classification(subject: Subject) -> dict[str, object]:
    """Accuracy on the whole test set; agreement after reconstruction in each latent space; latents in use."""
    test = subject.splits.calibration, subject.splits.evaluation
    images = as_floats(np.concatenate([part.images for part in test]))
    labels = np.concatenate([part.labels for part in test])
    classes = np.array([p.class_index for p in predict(subject.models.classifier, images)])
    agreement = {}
    for name, autoencoder in subject.models.autoencoders.items():
        rebuilt = autoencoder.decode(autoencoder.encode(images)[0])
        after = np.array([p.class_index for p in predict(subject.models.classifier, rebuilt)])
        agreement[name] = float(np.mean(after == classes))
    rankings = subject.reference.rankings
    return {
        "test_images": len(labels),
        "accuracy": float(np.mean(classes == labels)),
        "agreement_after_reconstruction": agreement,
        "used_latents": {name: int(r.used.sum()) for name, r in rankings.items()},
        "forest_fidelity_served": {name: r.forest_fidelity for name, r in rankings.items() if r.forest is not None},
    }
