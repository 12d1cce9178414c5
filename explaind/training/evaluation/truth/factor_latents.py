"""Which latent holds which known factor: their mutual information over images whose factors are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.errors import ShapeMismatch
from explaind.explanations.types import BoolArray, DoubleArray, FloatArray, IntArray

BINS = 20


@dataclass(frozen=True, slots=True, eq=False)
class FactorLatents:
    """information (D, F): of latent and factor, in nats. holders (F,): the used latent that holds each factor."""

    information: DoubleArray
    holders: IntArray

    def share_elsewhere(self, factor: int) -> float:
        """Information that the second-best latent has of a factor, over the holder's: near 1 the factor is spread."""
        falling = np.sort(self.information[:, factor])[::-1]
        return float(falling[1] / falling[0]) if len(falling) > 1 and falling[0] > 0 else 0.0


def factor_latents(means: FloatArray, factors: DoubleArray, used: BoolArray) -> FactorLatents:
    """means (N, D): codes. factors (N, F): their images' known factors. used (D,): latents that are ranked.

    Each variable is cut into 20 bins of equally many images; equal values are never divided. Raises ShapeMismatch where
    the lengths differ or no latent is used.
    """
    if len(means) != len(factors) or len(used) != means.shape[1] or not used.any():
        raise ShapeMismatch(
            f"{len(means)} codes of {means.shape[1]} latents, {len(factors)} rows of factors and {int(used.sum())} "
            "used latents do not make a table.",
            field="factors",
        )
    latents = [binned(column) for column in means.T.astype(np.float64)]
    causes = [binned(column) for column in factors.T]
    table = np.array([[mutual_information(latent, cause) for cause in causes] for latent in latents])
    holders = np.where(used[:, None], table, -1.0).argmax(axis=0)
    return FactorLatents(table, holders.astype(np.int32))


def binned(values: DoubleArray) -> IntArray:
    """(N,) → bins from 0 without a gap."""
    inner = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1)[1:-1]))
    places = np.digitize(values, inner, right=True)
    return np.unique(places, return_inverse=True)[1].astype(np.int32)


def mutual_information(first: IntArray, second: IntArray) -> float:
    """Of two variables in bins from 0, in nats; estimated from counts, so a little above 0 for independent ones."""
    joint = np.zeros((first.max() + 1, second.max() + 1))
    np.add.at(joint, (first, second), 1 / len(first))
    independent = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
    seen = joint > 0
    return float((joint[seen] * np.log(joint[seen] / independent[seen])).sum())
