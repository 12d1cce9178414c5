"""Morphs of many images by one solver, and what the judge and the bundle's own p-value say of their ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explaind.explanations.anomaly_score import rebuilt_p_values
from explaind.explanations.interpolation import interpolate
from explaind.explanations.models import Autoencoder
from explaind.explanations.morph_settling import ROUNDS
from explaind.explanations.semantic_morphing import morph
from explaind.explanations.smoothed_flow import LONGEST, NEIGHBOURS, SHORTEST
from explaind.explanations.types import (
    BoolArray,
    DoubleArray,
    FloatArray,
    Interpolation,
    Morph,
    PathMaskParameters,
    Solver,
)
from explaind.training.datasets import LabelArray
from explaind.training.evaluation.judge import Judge
from explaind.training.evaluation.subject import Subject

NATURAL = 0.01
"""The least `other_p_value` of an end that counts as natural."""
WALK = {"shortest_step": SHORTEST, "longest_step": LONGEST, "neighbours": NEIGHBOURS, "round_trips": ROUNDS}
"""Of the FAST solver: kept with what was measured of it, so that figures of an earlier one are known."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Morphs:
    """Of the first n evaluation images. ends (n, C, H, W): decoded ends, of failures the last place reached.

    judged (n,): the classes the judge sees in the ends; None without a judge. p_values (n,): `other_p_value`; None
    without an anomaly reference.
    """

    morphs: Sequence[Morph]
    ends: FloatArray
    judged: LabelArray | None
    p_values: DoubleArray | None

    def __len__(self) -> int:
        return len(self.morphs)

    @property
    def found(self) -> BoolArray:
        return np.array([m.found and not m.best_so_far for m in self.morphs], dtype=np.bool_)

    @property
    def targets(self) -> LabelArray:
        return np.array([m.other_class for m in self.morphs], dtype=np.int64)

    @property
    def distances(self) -> DoubleArray:
        return np.array([m.latent_distance for m in self.morphs], dtype=np.float64)

    @property
    def confirmed(self) -> BoolArray | None:
        """Whether the judge sees the other class too."""
        return None if self.judged is None else np.asarray(self.judged == self.targets)

    @property
    def natural(self) -> BoolArray | None:
        return None if self.p_values is None else np.asarray(self.p_values >= NATURAL)

    def first(self, count: int) -> Morphs:
        return Morphs(
            morphs=self.morphs[:count],
            ends=self.ends[:count],
            judged=None if self.judged is None else self.judged[:count],
            p_values=None if self.p_values is None else self.p_values[:count],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Shares and medians are over the morphs that were found; None where nothing was, or nobody to ask."""

    images: int
    failure_rate: float | None
    judge_agreement: float | None
    natural_p_value_share: float | None
    median_distance: float | None
    median_steps: float | None
    start_agrees: float | None


def run(subject: Subject, solver: Solver, count: int, judge: Judge | None) -> Morphs:
    """The first `count` evaluation images, each from its class to the runner-up. (DESIGN §3.3)"""
    models, reference = subject.morphing_models(), subject.morph_reference()
    parameters = PathMaskParameters(solver=solver)
    pairs = zip(subject.images[:count], subject.predictions[:count], strict=True)
    morphs = [morph(models, reference, image, parameters, prediction=p) for image, p in pairs]
    if not morphs:
        return Morphs(morphs=(), ends=subject.images[:0], judged=None, p_values=None)
    ends = decoded(subject.autoencoder, [m.z_other for m in morphs])
    anomaly = subject.reference.anomaly
    return Morphs(
        morphs=morphs,
        ends=ends,
        judged=None if judge is None else judge.classes(ends),
        p_values=None if anomaly is None else rebuilt_p_values(subject.autoencoder, anomaly, ends),
    )


def summarize(outcome: Morphs) -> Summary:
    found, everything = outcome.found, np.ones(len(outcome), np.bool_)
    agrees = np.array([m.reconstruction_agrees for m in outcome.morphs], dtype=np.bool_)
    steps = np.array([m.steps for m in outcome.morphs], dtype=np.float64)
    return Summary(
        images=len(outcome),
        failure_rate=_share(~found, everything),
        judge_agreement=_share(outcome.confirmed, found),
        natural_p_value_share=_share(outcome.natural, found),
        median_distance=_median(outcome.distances[found]),
        median_steps=_median(steps[found]),
        start_agrees=_share(agrees, everything),
    )


def distance_ratio(fast: Morphs, slow: Morphs) -> dict[str, object]:
    """Median distances of both solvers over the images, the first of `fast`, where both succeed."""
    both = fast.first(len(slow)).found & slow.found
    ours, theirs = _median(fast.distances[: len(slow)][both]), _median(slow.distances[both])
    return {
        "images": int(both.sum()),
        "median_distance_fast": ours,
        "median_distance_reference": theirs,
        "distance_ratio": ours / theirs if ours is not None and theirs else None,
    }


def between(autoencoder: Autoencoder, found: Morph, positions: Sequence[float]) -> FloatArray:
    """Decoded images on the way from z_self, position 0, to z_other, 1: (n, C, H, W)."""
    codes = interpolate(found.z_self, found.z_other, np.array(positions, dtype=np.float64), Interpolation.SLERP)
    return autoencoder.decode(np.ascontiguousarray(codes, dtype=np.float32))


def decoded(autoencoder: Autoencoder, codes: Sequence[DoubleArray]) -> FloatArray:
    return autoencoder.decode(np.stack(codes).astype(np.float32))


def _share(verdict: BoolArray | None, among: BoolArray) -> float | None:
    return float(np.mean(verdict[among])) if verdict is not None and among.any() else None


def _median(values: DoubleArray) -> float | None:
    return float(np.median(values)) if len(values) else None
