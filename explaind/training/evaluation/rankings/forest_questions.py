"""How well a random forest on the latents knows the classifier, on questions of two classes ([LR] asks one such).

Over ten classes a fidelity is hard to compare with the source's 98.4 %, whose classifier has two. A question here is
«a or b?», put to the images of these two classes; it is not easy where the more frequent answer is no more than 60 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedKFold, cross_val_score

from explaind.explanations.types import FloatArray

NOT_EASY = 0.6
SOURCE_TREES = 185
_TREES, _SERVED_TREES, _SERVED_LEAVES, _FOLDS = 100, 50, 500, 5

Classes = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class Codes:
    """means (N, D) of images, the classifier's logits (N, K) of them, and their labels (N,)."""

    means: FloatArray
    logits: FloatArray
    labels: Classes

    def question(self, pair: tuple[int, int]) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Means of the images labelled a or b, and whether the classifier prefers b."""
        rows = np.isin(self.labels, pair)
        return self.means[rows], self.logits[rows, pair[1]] > self.logits[rows, pair[0]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """classes: a, b. majority: share of the more frequent answer among the held-out. fidelity: held-out agreement
    with the classifier of a forest without bound, served_fidelity of one as small as the served."""

    classes: tuple[int, int]
    images: int
    held_out: int
    majority: float
    fidelity: float
    served_fidelity: float

    @property
    def easy(self) -> bool:
        return self.majority > NOT_EASY


def pairs_of(classes: int, most: int) -> list[tuple[int, int]]:
    """All pairs, or `most` of them evenly chosen."""
    every = list(combinations(range(classes), 2))
    chosen = np.unique(np.linspace(0, len(every) - 1, min(most, len(every))).round().astype(int))
    return [every[index] for index in chosen]


def ask(training: Codes, held_out: Codes, pair: tuple[int, int], seed: int) -> Question | None:
    """None where the classifier has but one answer for the images of the pair."""
    x, y = training.question(pair)
    unseen, answers = held_out.question(pair)
    if len(np.unique(y)) < 2 or not len(answers):
        return None
    unbounded = RandomForestClassifier(_TREES, random_state=seed).fit(x, y)
    served = RandomForestClassifier(_SERVED_TREES, max_leaf_nodes=_SERVED_LEAVES, random_state=seed).fit(x, y)
    return Question(
        classes=pair,
        images=len(y),
        held_out=len(answers),
        majority=majority(answers),
        fidelity=float(unbounded.score(unseen, answers)),
        served_fidelity=float(served.score(unseen, answers)),
    )


def majority(answers: NDArray[np.generic]) -> float:
    """Share of the most frequent answer: what a constant would score."""
    return float(np.unique(answers, return_counts=True)[1].max() / len(answers))


@dataclass(frozen=True, slots=True)
class SourceForest:
    """As many trees as the source's: fidelity in 5-fold cross-validation on the training images, and held out."""

    cross_validation: float
    held_out: float


def source_forest(training: Codes, held_out: Codes, pair: tuple[int, int], seed: int) -> SourceForest:
    x, y = training.question(pair)
    forest = RandomForestClassifier(SOURCE_TREES, random_state=seed)
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=seed)
    inside = float(np.mean(cross_val_score(forest, x, y, cv=folds)))
    return SourceForest(inside, float(forest.fit(x, y).score(*held_out.question(pair))))


def best(questions: Sequence[Question]) -> Question | None:
    """The highest fidelity among those that are not easy."""
    hard = [question for question in questions if not question.easy]
    return max(hard, key=lambda question: question.fidelity, default=None)
