"""The rankings over all images, from the statistics in the bundle: the source's own and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from explaind.explanations import bin_table, responses
from explaind.explanations.types import DoubleArray, ImportanceMeasure, RankingReference


@dataclass(frozen=True, slots=True)
class Column:
    """title: of the table's column. importance (D,). of_source: measured as [LR] does."""

    title: str
    importance: DoubleArray
    of_source: bool


def columns(reference: RankingReference) -> Mapping[str, Column]:
    """By key, each method's importance of every latent, the mean over the classes where it is a class's.

    With two classes the mean is either one's, as they mirror each other, so the source's columns are its own figures.
    """
    probability, logit = ImportanceMeasure.PROBABILITY_DEVIATION, ImportanceMeasure.LOGIT_DEVIATION
    classes = range(reference.generated_probability.shape[-1])

    def original(measure: ImportanceMeasure, *, weighted: bool, minimum: int) -> DoubleArray:
        tables = [
            bin_table.global_importance(reference, measure, k, weighted=weighted, minimum_count=minimum)
            for k in classes
        ]
        return np.asarray(np.mean(tables, axis=0))

    def generated(measure: ImportanceMeasure) -> DoubleArray:
        odds = measure is logit
        curves = reference.generated_logit if odds else reference.generated_probability
        return np.asarray(responses.spread(np.moveaxis(curves, 1, -1), measure).mean(axis=1))

    found = {
        "generated": Column("generated images, probability", generated(probability), True),
        "original": Column("original images, probability", original(probability, weighted=False, minimum=1), True),
    }
    if reference.forest is not None:
        found["forest"] = Column("random forest, impurity", reference.impurity, True)
    found["generated_logit"] = Column("generated images, log-odds", generated(logit), False)
    found["original_logit"] = Column(
        "original images, log-odds", original(logit, weighted=True, minimum=bin_table.MINIMUM_COUNT), False
    )
    if reference.forest is not None:
        found["permutation"] = Column("random forest, permutation", reference.permutation, False)
    found["sobol"] = Column("Sobol, total effect", reference.sobol_total.mean(axis=0), False)
    return found
