"""Which latents hold which known factor: their mutual information over images whose factors are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from explaind.errors import ShapeMismatch
from explaind.explanations.types import BoolArray, DoubleArray, Factor, FloatArray, IntArray

BINS = 20


@dataclass(frozen=True, slots=True, eq=False)
class FactorLatents:
    """information (D, F): of latent and factor, in nats. about (D,): the factor that each latent tells most of, −1 for
    a latent that is not used."""

    information: DoubleArray
    about: IntArray

    def latents_of(self, factor: int) -> tuple[int, ...]:
        """Those that tell more of it than of any other factor, the best first."""
        falling = np.argsort(-self.information[:, factor], kind="stable")
        return tuple(int(latent) for latent in falling if self.about[latent] == factor)

    def purity(self, factor: int) -> float:
        """Of what its best latent tells of all factors, the share that is about this one; 0 where it has no latent."""
        latents = self.latents_of(factor)
        row = self.information[latents[0]] if latents else np.zeros(1)
        return float(row[factor] / row.sum()) if latents else 0.0

    def factors(self, names: Sequence[str]) -> tuple[Factor, ...]:
        """The factors that have latents, labelled: what a person would write into labels.toml."""
        held = ((self.latents_of(place), name) for place, name in enumerate(names))
        return tuple(Factor(dimensions=latents, label=name) for latents, name in held if latents)


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
    return FactorLatents(table, np.where(used, table.argmax(axis=1), -1).astype(np.int32))


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
