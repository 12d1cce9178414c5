"""What the report says of the forest: does it know the classifier?"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from explaind.explanations.types import RankingReference
from explaind.training.datasets import ImageSet, as_floats
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.rankings import forest_questions, rankings_figures
from explaind.training.evaluation.rankings.forest_questions import Codes, Question
from explaind.training.evaluation.rebuilding import chunks
from explaind.training.evaluation.subject import Subject


def codes_of(subject: Subject, part: ImageSet) -> Codes:
    models = subject.models.ranking(subject.ranking_name)
    assert models is not None
    means, logits = [], []
    for chunk in chunks(as_floats(part.images)):
        means.append(models.autoencoder.encode(chunk)[0])
        logits.append(models.classifier.logits(chunk))
    return Codes(np.concatenate(means), np.concatenate(logits), part.labels)


def write_forest(subject: Subject, reference: RankingReference, held_out: Codes, page: Page) -> dict[str, object]:
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


def write_questions(subject: Subject, training: Codes, held_out: Codes, most: int, page: Page) -> dict[str, object]:
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
    counted = "1 question" if len(questions) == 1 else f"{len(questions)} questions"
    page.text(
        f"«a or b?», put to the images of two classes: {counted}, {len(hard)} not easy (majority "
        f"rate at most {forest_questions.NOT_EASY:g}). Median fidelity {figures['median_fidelity']:.4f}."
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
