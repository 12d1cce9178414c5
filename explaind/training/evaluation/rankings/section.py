"""The rankings' section of a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from itertools import combinations

import numpy as np

from explaind.explanations.types import RankingMethod, RankingReference
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.rankings import forest_report, rankings_figures
from explaind.training.evaluation.rankings.agreement_of_orders import Agreement, agreement
from explaind.training.evaluation.rankings.global_rankings import Column, columns
from explaind.training.evaluation.rankings.local_rankings import Spread, agreements, local_importances, methods_of
from explaind.training.evaluation.section import Section
from explaind.training.evaluation.subject import Subject

_LOCAL_IMAGES = 200
"""Sobol asks the classifier of thousands of decoded images for each."""
_MOST_PAIRS, _FEW_PAIRS, _FEW_IMAGES = 45, 3, 200

# The global column that has a local method's first measure; the forest's local one is Shapley's.
_GLOBAL_OF = {
    RankingMethod.GENERATED_IMAGES: "generated_logit",
    RankingMethod.ORIGINAL_IMAGES: "original_logit",
    RankingMethod.RANDOM_FOREST: "permutation",
    RankingMethod.SOBOL: "sobol",
}
_SHORT = {
    RankingMethod.GENERATED_IMAGES: "generated",
    RankingMethod.ORIGINAL_IMAGES: "original",
    RankingMethod.RANDOM_FOREST: "forest",
    RankingMethod.SOBOL: "Sobol",
}


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    reference = subject.ranking_reference()
    table = columns(reference)
    page.text(
        f"The space *{subject.ranking_name}*, its {int(reference.used.sum())} used latents. The source's three "
        "rankings are measured as it does (deviation of the probability, over images in which no other latent is "
        "moved, bins without weights, mean decrease in impurity); ours are the log-odds, which do not saturate, bins "
        "with at least 30 images weighted by their count, permutation on held-out images, and Sobol's total effects. "
        "A ranking of one class is averaged over all classes."
    )
    figures: dict[str, object] = {"space": subject.ranking_name}
    figures["global"] = _write_global(subject, reference, table, page)
    figures["local"] = _write_local(subject, reference, table, min(extent.images, _LOCAL_IMAGES), page)
    if reference.forest is not None:
        few = extent.images < _FEW_IMAGES
        training, held_out = (
            forest_report.codes_of(subject, part) for part in (subject.splits.train, subject.splits.validation)
        )
        figures["forest"] = forest_report.write_forest(subject, reference, held_out, page)
        figures["binary"] = forest_report.write_questions(
            subject, training, held_out, _FEW_PAIRS if few else _MOST_PAIRS, page
        )
    return figures


# ---- global -------------------------------------------------------------------------------------------------


def _write_global(
    subject: Subject, reference: RankingReference, table: Mapping[str, Column], page: Page
) -> dict[str, object]:
    names, used = subject.latent_names(subject.ranking_name), [int(d) for d in np.flatnonzero(reference.used)]
    page.heading("All images")
    first = next(iter(table.values())).importance
    order = sorted(used, key=lambda d: -first[d])
    page.table(
        ("latent", *(column.title for column in table.values())),
        [(names[d], *(float(column.importance[d]) for column in table.values())) for d in order],
    )
    page.figure(
        "rankings_global",
        rankings_figures.side_by_side(table, used, names),
        "Importance of each latent, each method by its own largest. Brown: as the source measures. Green: ours.",
    )
    pairs = {(a, b): agreement(table[a].importance[used], table[b].importance[used]) for a, b in combinations(table, 2)}
    _write_matrix(table, pairs, page)
    return {
        "importance": {names[d]: {key: float(c.importance[d]) for key, c in table.items()} for d in order},
        "agreement": {f"{a} / {b}": asdict(pair) for (a, b), pair in pairs.items()},
    }


def _write_matrix(table: Mapping[str, Column], pairs: Mapping[tuple[str, str], Agreement], page: Page) -> None:
    """ρ above the diagonal, τ below it."""

    def cell(row: str, column: str) -> float | str:
        if row == column:
            return "–"
        return pairs[row, column].spearman if (row, column) in pairs else pairs[column, row].kendall

    page.text("How far these orders agree: Spearman's ρ above the diagonal, Kendall's τ below it.")
    titles = [column.title for column in table.values()]
    rows = [(column.title, *(_two(cell(key, other)) for other in table)) for key, column in table.items()]
    page.table(("", *titles), rows)


# ---- single images ------------------------------------------------------------------------------------------


def _write_local(
    subject: Subject, reference: RankingReference, table: Mapping[str, Column], count: int, page: Page
) -> dict[str, object]:
    models = subject.models.ranking(subject.ranking_name)
    assert models is not None
    pairs = zip(subject.images[:count], subject.predictions[:count], strict=True)
    rankings = [local_importances(models, reference, image, prediction) for image, prediction in pairs]
    spreads = agreements(rankings)
    page.heading("Single images")
    methods = ", ".join(_SHORT[m] for m in methods_of(reference))
    page.text(
        f"The same image ranked by each method ({methods}) with its default measure, {len(rankings)} images, about "
        "the class that was predicted; magnitudes are compared."
    )
    page.table(
        ("rankings compared", "Spearman's ρ, median", "quartiles", "Kendall's τ, median", "same latent first"),
        [(_pair(pair), s.spearman[0], _range(s.spearman), s.kendall[0], s.same_first) for pair, s in spreads.items()],
    )
    used = reference.used
    overall = [agreement(*(table[_GLOBAL_OF[m]].importance[used] for m in pair)).spearman for pair in spreads]
    page.figure(
        "rankings_agreement",
        rankings_figures.order_agreement([(_pair(p), s.spearman) for p, s in spreads.items()], overall, len(rankings)),
        "How far two methods agree on the order of the latents. 1: the same order; 0: none in common.",
    )
    return {"images": len(rankings), "agreement": {_pair(p): _figures(s) for p, s in spreads.items()}}


def _two(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.2f}".replace("-", "−")


def _pair(pair: tuple[RankingMethod, RankingMethod]) -> str:
    return " / ".join(_SHORT[method] for method in pair)


def _range(quartiles: tuple[float, float, float]) -> str:
    return f"{quartiles[1]:.2f} to {quartiles[2]:.2f}".replace("-", "−")


def _figures(spread: Spread) -> dict[str, float]:
    names = ("median", "lower_quartile", "upper_quartile")
    spearman = {f"spearman_{n}": v for n, v in zip(names, spread.spearman, strict=True)}
    kendall = {f"kendall_{n}": v for n, v in zip(names, spread.kendall, strict=True)}
    return {**spearman, **kendall, "same_first": spread.same_first}


def _excuse(subject: Subject) -> str | None:
    if subject.manifest.space_with_role("ranking") is None:
        return "The bundle has no ranking space."
    if not subject.ranking_reference().used.any():
        return "The ranking space uses no latent, so there is nothing to rank."
    return None


SECTION = Section("rankings", "The rankings side by side", _run, _excuse)
