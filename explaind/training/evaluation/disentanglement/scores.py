"""All scores of one code at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from explaind.errors import DataSetInvalid
from explaind.training.evaluation.disentanglement.fixed_factor import factor_score
from explaind.training.evaluation.disentanglement.importance import Dci, dci
from explaind.training.evaluation.disentanglement.information import (
    Codes,
    Factors,
    Matrix,
    entropies,
    gaps,
    mutual_information,
)
from explaind.training.evaluation.disentanglement.predictability import sap

LEAST_IMAGES = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scores:
    """mig: of codes drawn from the posterior, as Chen et al. define it. mig_of_means: of its means, as Locatello et al.
    measure it, which lets a latent that is all noise count as exact. sap, factor_vae, dci: of the means. factor_gaps
    (K,): the gap of each factor, whose mean is mig. information (D, K): nats, of drawn codes."""

    mig: float
    mig_of_means: float
    sap: float
    factor_vae: float
    dci: Dci
    factor_gaps: tuple[float, ...]
    information: Matrix


def scores(means: Codes, deviations: Codes, factors: Factors, seed: int = 0) -> Scores:
    """means, deviations (N, D) of each image's posterior; factors (N, K). D and K at least 2.

    Raises DataSetInvalid where there are fewer than 200 images or the shapes do not belong together.
    """
    _require_comparable(means, deviations, factors)
    drawn = means + deviations * np.random.default_rng(seed).standard_normal(means.shape)
    entropy = entropies(factors)
    information = mutual_information(drawn, factors)
    factor_gaps = gaps(information, entropy)
    return Scores(
        mig=float(factor_gaps.mean()),
        mig_of_means=float(gaps(mutual_information(means, factors), entropy).mean()),
        sap=sap(means, factors),
        factor_vae=factor_score(means, factors, seed=seed),
        dci=dci(means, factors, seed),
        factor_gaps=tuple(float(gap) for gap in factor_gaps),
        information=information,
    )


def _require_comparable(means: Codes, deviations: Codes, factors: Factors) -> None:
    if means.shape != deviations.shape or means.ndim != 2 or factors.ndim != 2 or len(means) != len(factors):
        raise DataSetInvalid(
            f"Codes {means.shape}, deviations {deviations.shape} and factors {factors.shape} do not belong together; "
            "give a row for each image in all three."
        )
    if means.shape[1] < 2 or factors.shape[1] < 2:
        raise DataSetInvalid("A score of disentanglement compares at least two latents and two factors; give more.")
    if len(means) < LEAST_IMAGES:
        raise DataSetInvalid(f"{len(means)} images are too few for a score of disentanglement; give {LEAST_IMAGES}.")
