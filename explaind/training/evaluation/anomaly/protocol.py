"""[AN]'s protocol: random 70/30 splits, a logistic regression on one loss, on all losses, on losses and latents.

The source fits and tests on the same kind of outlier. Beside it the honest one: the kind that is tested is held out of
the fit, which sees other kinds instead. Arrays in, figures out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, precision_recall_curve

from explaind.explanations.anomaly_features import supervised_names
from explaind.explanations.types import Detector, DoubleArray
from explaind.training.evaluation.anomaly.measured import distinct_losses
from explaind.training.evaluation.anomaly.scored import Scored

FITTED_SHARE = 0.7
RECALL = np.linspace(0, 1, 101)
LOSSES, LATENTS, UNFITTED = "six_losses", "losses_and_latents", "mahalanobis"
Features = Mapping[str, DoubleArray]
"""By model, (B, F)."""


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """One model over all splits. average_precision: the outlier is positive; members: the in-distribution image is.
    precision (splits, 101): at RECALL, outliers positive, the best at that recall or beyond."""

    average_precision: DoubleArray
    members: DoubleArray
    precision: DoubleArray


@dataclass(frozen=True, slots=True)
class Gain:
    """Average precision of losses and latents less that of the losses alone, split by split. low, high: of the middle
    95 % of splits. better: share of splits where it is above 0."""

    mean: float
    deviation: float
    low: float
    high: float
    better: float


def features(scored: Scored) -> dict[str, DoubleArray]:
    """Each single loss; the losses that the served regression uses (of grey images five are distinct; cross entropy
    as its excess); these and the latents; and the Mahalanobis distance, which needs no outliers to be fitted."""
    losses = len(supervised_names(scored.images.shape[1], 0))
    return {
        **{name: values[:, None] for name, values in distinct_losses(scored).items()},
        LOSSES: scored.supervised[:, :losses],
        LATENTS: scored.supervised,
        UNFITTED: scored.verdicts[Detector.MAHALANOBIS].scores[:, None],
    }


def repeat(
    inside: Features,
    outside: Features,
    others: Sequence[Features] | None,
    *,
    splits: int,
    seed: int,
    models: Sequence[str] | None = None,
) -> dict[str, Runs]:
    """The protocol `splits` times. others: features of other kinds of outlier, from which, in equal parts, the fit
    draws as many as it would of `outside`; None: the source's protocol, the fit sees 70 % of `outside` itself.

    The same seed gives the same divisions whatever `others` and `models` are, so that results can be paired.
    """
    names = list(models or inside)
    results: dict[str, list[tuple[float, float, DoubleArray]]] = {name: [] for name in names}
    for number in range(splits):
        generator = np.random.default_rng([seed, number])
        own, own_test = _divided(len(inside[names[0]]), generator)
        known, unseen = _divided(len(outside[names[0]]), generator)
        draws = _equal_draws(others, len(known), generator) if others is not None else None
        for name in names:
            strangers = outside[name][known] if draws is None else _drawn(others or (), draws, name)
            scores = _scores(name, inside[name], own, strangers, np.concatenate([inside[name][own_test],
                                                                                 outside[name][unseen]]))  # fmt: skip
            results[name].append(_outcome(np.repeat([0, 1], [len(own_test), len(unseen)]), scores))
    return {name: _runs(outcomes) for name, outcomes in results.items()}


def gain(runs: Mapping[str, Runs]) -> Gain:
    """What the latents add."""
    differences = runs[LATENTS].average_precision - runs[LOSSES].average_precision
    low, high = np.quantile(differences, [0.025, 0.975])
    spread = float(differences.std(ddof=1)) if len(differences) > 1 else 0.0
    return Gain(float(differences.mean()), spread, float(low), float(high), float(np.mean(differences > 0)))


def _divided(count: int, generator: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = generator.permutation(count)
    fitted = round(FITTED_SHARE * count)
    return order[:fitted], order[fitted:]


def _equal_draws(others: Sequence[Features], count: int, generator: np.random.Generator) -> list[NDArray[np.int64]]:
    """Row numbers of each other kind, `count` in all where they have so many."""
    sizes = [len(next(iter(kind.values()))) for kind in others]
    share = -(-count // len(others))
    return [generator.permutation(size)[:share] for size in sizes]


def _drawn(others: Sequence[Features], draws: Sequence[NDArray[np.int64]], name: str) -> DoubleArray:
    return np.concatenate([kind[name][rows] for kind, rows in zip(others, draws, strict=True)])


def _scores(
    name: str, inside: DoubleArray, own: NDArray[np.int64], strangers: DoubleArray, tested: DoubleArray
) -> DoubleArray:
    """Log-odds of being an outlier, features standardised by the in-distribution images of the fit, as served."""
    if name == UNFITTED:
        return tested[:, 0]
    center, deviation = inside[own].mean(axis=0), inside[own].std(axis=0)
    scale = np.where(deviation > 0, deviation, 1.0)
    rows = (np.concatenate([inside[own], strangers]) - center) / scale
    kinds = np.repeat([0, 1], [len(own), len(strangers)])
    model = LogisticRegression(class_weight="balanced", max_iter=5000).fit(rows, kinds)
    return np.asarray(model.decision_function((tested - center) / scale))


def _outcome(kinds: NDArray[np.int64], scores: DoubleArray) -> tuple[float, float, DoubleArray]:
    precision, recall, _ = precision_recall_curve(kinds, scores)
    # Recall falls along the curve; its last point, (0, 1), is made up. A threshold that finds more than asked may be
    # the more precise one, so the best so far counts.
    best, falling = np.maximum.accumulate(precision[:-1]), recall[:-1]
    at = best[np.searchsorted(-falling, -RECALL, side="right") - 1]
    members = average_precision_score(1 - kinds, -scores)
    return float(average_precision_score(kinds, scores)), float(members), np.asarray(at)


def _runs(outcomes: Sequence[tuple[float, float, DoubleArray]]) -> Runs:
    own, members, curves = zip(*outcomes, strict=True)
    return Runs(np.array(own), np.array(members), np.stack(curves))
