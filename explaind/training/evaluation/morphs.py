"""How often a morph fails, how natural it is, and how far it goes; the source's solver beside ours (DESIGN §3.3)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explaind.explanations.anomaly_score import rebuilt_p_values
from explaind.explanations.semantic_morphing import morph
from explaind.explanations.types import FloatArray, Morph, PathMaskParameters, Solver
from explaind.training.datasets import as_floats
from explaind.training.evaluation.judge import Judge
from explaind.training.evaluation.subject import Subject


@dataclass(frozen=True, slots=True, eq=False)
class _Outcome:
    """One solver on the first n evaluation images; images: the morphed ends, decoded (n, C, H, W)."""

    morphs: tuple[Morph, ...]
    images: FloatArray

    @property
    def found(self) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        return np.array([m.found and not m.best_so_far for m in self.morphs])


def evaluate_morphs(subject: Subject, runs: Path, count: int, reference_count: int) -> dict[str, object]:
    """`count` digits with FAST, the first `reference_count` of them with REFERENCE too."""
    judge = Judge(runs / subject.recipe.name)
    fast = _run(subject, Solver.FAST, count)
    slow = _run(subject, Solver.REFERENCE, reference_count)
    accuracy = np.mean(judge.classes(subject.images) == subject.splits.evaluation.labels)
    clean = np.mean(judge.classes(as_floats(subject.splits.calibration.images)) == subject.splits.calibration.labels)
    return {
        "judge_accuracy": float((accuracy + clean) / 2),
        "fast": _summary(subject, judge, fast),
        "reference": _summary(subject, judge, slow),
        "against_reference": _compare(fast, slow),
    }


def _run(subject: Subject, solver: Solver, count: int) -> _Outcome:
    models, reference = subject.morphing_models(), subject.morph_reference()
    parameters = PathMaskParameters(solver=solver)
    pairs = zip(subject.images[:count], subject.predictions[:count], strict=True)
    morphs = tuple(morph(models, reference, image, parameters, prediction=p) for image, p in pairs)
    ends = np.stack([m.z_other for m in morphs]).astype(np.float32)
    return _Outcome(morphs, models.autoencoder.decode(ends))


def _summary(subject: Subject, judge: Judge, outcome: _Outcome) -> dict[str, object]:
    found = outcome.found
    targets = np.array([m.other_class for m in outcome.morphs])
    judged = judge.classes(outcome.images) == targets
    assert subject.reference.anomaly is not None
    p_values = rebuilt_p_values(subject.autoencoder, subject.reference.anomaly, outcome.images[found])
    return {
        "images": len(found),
        "failure_rate": float(np.mean(~found)),
        "judge_agreement": float(np.mean(judged[found])),
        "natural_p_value_share": float(np.mean(p_values >= 0.01)),
        "median_distance": float(
            np.median([m.latent_distance for m, ok in zip(outcome.morphs, found, strict=True) if ok])
        ),
        "median_steps": float(np.median([m.steps for m, ok in zip(outcome.morphs, found, strict=True) if ok])),
        "start_agrees": float(np.mean([m.reconstruction_agrees for m in outcome.morphs])),
    }


def _compare(fast: _Outcome, slow: _Outcome) -> dict[str, object]:
    """Medians over the digits where both succeed."""
    count = len(slow.morphs)
    both = fast.found[:count] & slow.found
    ours = np.array([m.latent_distance for m in fast.morphs[:count]])[both]
    theirs = np.array([m.latent_distance for m in slow.morphs])[both]
    return {
        "images": int(both.sum()),
        "median_distance_fast": float(np.median(ours)),
        "median_distance_reference": float(np.median(theirs)),
        "distance_ratio": float(np.median(ours) / np.median(theirs)),
    }
