"""DCI (Eastwood & Williams 2018, "A framework for the quantitative evaluation of disentangled representations"):
disentanglement, completeness and informativeness, from forests that predict each factor from the codes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from explaind.training.evaluation.disentanglement.information import Codes, Factors, Matrix

TREES = 20
DEPTH = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Dci:
    """All in [0, 1]. disentanglement: a latent tells of one factor alone, latents weighed by their importance.
    completeness: one latent alone tells of a factor; mean over factors. informativeness: accuracy of predicting a
    factor's value from unseen codes; mean over factors. majority: the accuracy of its most frequent value instead."""

    disentanglement: float
    completeness: float
    informativeness: float
    majority: float


def dci(codes: Codes, factors: Factors, seed: int = 0) -> Dci:
    """codes (N, D), factors (N, K), D and K at least 2: half of the rows to fit on, half to predict.

    The paper's forests are regressions for ordered factors and its error is scaled; here, as in Locatello et al.
    2019, every factor is a class and the figure an accuracy, though their trees are boosted and ours a forest. All
    latents compete at each split: a split that may only choose among poor ones would lend them importance.
    """
    fitting, seen = _halves(len(codes), seed)
    importance = np.zeros((codes.shape[1], factors.shape[1]))
    accuracy, majority = np.zeros(factors.shape[1]), np.zeros(factors.shape[1])
    for k, factor in enumerate(factors.T):
        forest = RandomForestClassifier(
            TREES, max_depth=DEPTH, min_samples_leaf=5, max_features=None, n_jobs=1, random_state=seed
        )
        forest.fit(codes[fitting], factor[fitting])
        importance[:, k] = forest.feature_importances_
        accuracy[k] = np.mean(forest.predict(codes[seen]) == factor[seen])
        majority[k] = np.bincount(factor[seen]).max() / len(seen)
    return Dci(
        disentanglement=disentanglement(importance),
        completeness=completeness(importance),
        informativeness=float(accuracy.mean()),
        majority=float(majority.mean()),
    )


def disentanglement(importance: Matrix) -> float:
    """importance (D, K), not negative: Σ_d ρ_d (1 − H_K(row d)), H with logarithm to base K, ρ_d the row's share."""
    total = importance.sum()
    return float((importance.sum(axis=1) / total) @ _concentration(importance)) if total > 0 else 0.0


def completeness(importance: Matrix) -> float:
    """Mean over factors of 1 − H_D(column k)."""
    return float(_concentration(importance.T).mean())


def _concentration(rows: Matrix) -> NDArray[np.float64]:
    """1 − entropy of each row's shares, to the base of its length; 0 for a row of zeros."""
    sums = rows.sum(axis=1, keepdims=True)
    shares = np.divide(rows, sums, out=np.full_like(rows, 1.0 / rows.shape[1]), where=sums > 0)
    logarithms = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return 1.0 + np.asarray((shares * logarithms).sum(axis=1) / np.log(rows.shape[1]))


def _halves(count: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = np.random.default_rng(seed).permutation(count)
    return order[: count // 2], order[count // 2 :]
