"""SAP (Kumar et al. 2018, "Variational inference of disentangled latent concepts from unlabeled observations"): how
much better the best single latent predicts a factor than the second best."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import recall_score
from sklearn.tree import DecisionTreeClassifier

from explaind.training.evaluation.disentanglement.information import Codes, Factors, Matrix

CATEGORIES = 3
"""A factor of so few values is a class, any other a quantity: of dSprites', shape alone is a class."""


def sap(codes: Codes, factors: Factors) -> float:
    """Mean over factors of best − second best score: in [0, 1]. At least two latents."""
    ordered = np.sort(separate_scores(codes, factors), axis=0)
    return float((ordered[-1] - ordered[-2]).mean())


def separate_scores(codes: Codes, factors: Factors) -> Matrix:
    """(D, K): how well each latent alone predicts each factor, in [0, 1].

    Quantity: squared correlation, the R² of a line. Class: balanced accuracy of as many intervals of the latent as
    there are classes, brought to 0 for chance; the paper has a linear support vector machine there, to which a class
    in the middle of a latent's range is lost.
    """
    columns = [_class_scores if factor.max() < CATEGORIES else _squared_correlations for factor in factors.T]
    return np.stack([score(codes, factor) for score, factor in zip(columns, factors.T, strict=True)], axis=1)


def _squared_correlations(codes: Codes, factor: NDArray[np.int64]) -> NDArray[np.float64]:
    x = codes - codes.mean(axis=0, dtype=np.float64)
    y = factor - factor.mean()
    scale = (x**2).sum(axis=0) * (y**2).sum()
    return np.asarray(np.divide((y @ x) ** 2, scale, out=np.zeros(x.shape[1]), where=scale > 0))


def _class_scores(codes: Codes, factor: NDArray[np.int64]) -> NDArray[np.float64]:
    classes = len(np.unique(factor))
    if classes < 2:
        return np.zeros(codes.shape[1])
    recalls = np.array([_balanced_accuracy(latent[:, None], factor, classes) for latent in codes.T])
    return np.asarray((recalls - 1 / classes) / (1 - 1 / classes)).clip(0, 1)


def _balanced_accuracy(latent: Codes, factor: NDArray[np.int64], classes: int) -> float:
    tree = DecisionTreeClassifier(max_leaf_nodes=classes, class_weight="balanced", random_state=0).fit(latent, factor)
    return float(recall_score(factor, tree.predict(latent), average="macro"))
