"""The rankings' section of a report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import combinations
from typing import Any

import numpy as np

from explaind.explanations.types import RankingMethod, RankingReference
from explaind.training.datasets import ImageSet, as_floats
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.rankings import forest_questions, rankings_figures
from explaind.training.evaluation.rankings.agreement_of_orders import Agreement, agreement
from explaind.training.evaluation.rankings.forest_questions import Codes, Question
from explaind.training.evaluation.rankings.global_rankings import Column, columns
from explaind.training.evaluation.rankings.local_rankings import Spread, agreements, local_importances, methods_of
from explaind.training.evaluation.rebuilding import chunks
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
        training, held_out = (_codes(subject, part) for part in (subject.splits.train, subject.splits.validation))
        figures["forest"] = _write_forest(subject, reference, held_out, page)
        figures["binary"] = _write_questions(subject, training, held_out, _FEW_PAIRS if few else _MOST_PAIRS, page)
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


# ---- the forest ---------------------------------------------------------------------------------------------


def _codes(subject: Subject, part: ImageSet) -> Codes:
    models = subject.models.ranking(subject.ranking_name)
    assert models is not None
    means, logits = [], []
    for chunk in chunks(as_floats(part.images)):
        means.append(models.autoencoder.encode(chunk)[0])
        logits.append(models.classifier.logits(chunk))
    return Codes(np.concatenate(means), np.concatenate(logits), part.labels)


def _write_forest(subject: Subject, reference: RankingReference, held_out: Codes, page: Page) -> dict[str, object]:
    kept = _kept_figures(subject)
    rate = forest_questions.majority(held_out.logits.argmax(axis=1))
    page.heading("Does the forest know the classifier?")
    page.text(
        "Fidelity is how often a forest on the latents decides as the classifier does, on "
        f"{len(held_out.labels)} held-out images, over all {len(subject.manifest.class_names)} classes. The served "
        "forest is small on purpose. The source's: 185 trees, 97.7 % in cross-validation, 98.4 % held out, two classes."
    )
    unbounded, trees = kept.get("unbounded_fidelity"), kept.get("unbounded_trees")
    page.table(
        ("forest", "fidelity", "majority rate"),
        [
            (f"served ({_trees(reference)} trees, at most {subject.recipe.reference.served_leaves} leaves each)",
             reference.forest_fidelity, rate),
            (f"without bound ({int(trees)} trees)" if trees else "without bound", unbounded, rate),
        ],
    )  # fmt: skip
    used = reference.impurity[reference.used]
    return {
        "served": reference.forest_fidelity,
        "unbounded": unbounded,
        "unbounded_trees": trees,
        "majority_rate": rate,
        "largest_impurity": float(used.max()),
        "least_impurity": float(used.min()),
    }


def _trees(reference: RankingReference) -> int:
    return 0 if reference.forest is None else len(reference.forest.offsets) - 1


def _kept_figures(subject: Subject) -> Mapping[str, float]:
    """What the fit measured and the bundle does not carry; empty where the training run is gone."""
    file = subject.runs / subject.recipe.name / "reference.json"
    if not file.exists():
        return {}
    content: Any = json.loads(file.read_text(encoding="utf-8"))
    found: Mapping[str, float] = content.get("figures", {}).get(subject.ranking_name, {})
    return found


def _write_questions(subject: Subject, training: Codes, held_out: Codes, most: int, page: Page) -> dict[str, object]:
    names, seed = subject.manifest.class_names, subject.recipe.seed
    pairs = forest_questions.pairs_of(len(names), most)
    asked = (forest_questions.ask(training, held_out, pair, seed) for pair in pairs)
    questions = [question for question in asked if question is not None]
    if not questions:
        page.text("No two classes are both decided by the classifier, so there is no question of two.")
        return {"questions": []}
    best, hard = forest_questions.best(questions), [question for question in questions if not question.easy]
    figures: dict[str, object] = {
        "questions": [{**asdict(q), "classes": [names[k] for k in q.classes]} for q in questions],
        "not_easy": len(hard),
        "median_fidelity": float(np.median([question.fidelity for question in questions])),
        "least_fidelity": min(question.fidelity for question in questions),
    }
    page.text(
        f"«a or b?», put to the images of two classes: {len(questions)} questions, {len(hard)} of which are not easy "
        f"(majority rate at most {forest_questions.NOT_EASY:g}). Median fidelity {figures['median_fidelity']:.4f}."
    )
    page.figure(
        "rankings_forest",
        rankings_figures.fidelities(questions, names),
        "Each question's fidelity on held-out images, above the rate of its more frequent answer.",
    )
    if best is not None:
        figures.update(_write_best(subject, training, held_out, best, page))
    return figures


def _write_best(subject: Subject, training: Codes, held_out: Codes, best: Question, page: Page) -> dict[str, object]:
    like = forest_questions.source_forest(training, held_out, best.classes, subject.recipe.seed)
    name = " or ".join(subject.manifest.class_names[k] for k in best.classes)
    page.text(
        f"Best of those that are not easy: **{name}, {best.fidelity:.4f}** on {best.held_out} images (majority "
        f"{best.majority:.3f}). With the source's {forest_questions.SOURCE_TREES} trees: "
        f"{like.cross_validation:.4f} in 5-fold cross-validation, {like.held_out:.4f} held out; the source "
        "has 0.977 and 0.984."
    )
    return {
        "best_question": name,
        "best_fidelity": best.fidelity,
        "best_majority": best.majority,
        "best_with_source_trees": asdict(like),
    }


def _excuse(subject: Subject) -> str | None:
    if subject.manifest.space_with_role("ranking") is None:
        return "The bundle has no ranking space."
    if not subject.ranking_reference().used.any():
        return "The ranking space uses no latent, so there is nothing to rank."
    return None


SECTION = Section("rankings", "The rankings side by side", _run, _excuse)
