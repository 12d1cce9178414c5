"""The morphing section of a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from explaind.errors import BundleInvalid
from explaind.explanations.types import DoubleArray, FloatArray, Solver
from explaind.training.datasets import as_floats
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.judge import Judge
from explaind.training.evaluation.morphing import morphing_figures
from explaind.training.evaluation.morphing.morphing_figures import Ending, Example
from explaind.training.evaluation.morphing.morphs import (
    NATURAL,
    Morphs,
    Summary,
    between,
    decoded,
    distance_ratio,
    run,
    summarize,
)
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section, without_path_masks
from explaind.training.evaluation.subject import Subject

_SHOWN = 10
_WAY = (1 / 3, 2 / 3)
_SOURCE_FAILURE = {"mnist": (0.03, "MNIST"), "letters": (0.02, "notMNIST"), "fashion_mnist": (0.19, "FashionMNIST")}
"""By data set. [PM], 100 samples each."""


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    judge, missing = _judge(subject)
    count = min(extent.images, len(subject.images))
    fast = run(subject, Solver.FAST, count, judge)
    slow = run(subject, Solver.REFERENCE, min(extent.reference_morphs, count), judge)
    summaries = {"fast": summarize(fast), "reference": summarize(slow)}
    alike = summarize(fast.first(len(slow))) if len(slow) else None
    accuracy = None if judge is None else _accuracy(subject, judge)
    _write(subject, page, summaries, alike, accuracy, missing)
    _draw(subject, fast, slow, page)
    figures: dict[str, object] = {key: asdict(summary) for key, summary in summaries.items()}
    return {
        "judge_accuracy": accuracy,
        **figures,
        "fast_on_the_same_images": None if alike is None else asdict(alike),
        "against_reference": distance_ratio(fast, slow),
    }


def _judge(subject: Subject) -> tuple[Judge | None, str]:
    """The judge, or None and why there is none."""
    try:
        return subject.judge, "The recipe names no judge, so nobody confirms these morphs."
    except BundleInvalid as error:
        return None, f"Nobody confirms these morphs: {error}"


def _accuracy(subject: Subject, judge: Judge) -> float:
    """Over the whole test set, half by half."""
    halves = (subject.splits.evaluation, subject.splits.calibration)
    right = [judge.classes(as_floats(half.images)) == half.labels for half in halves]
    return float(np.mean(np.concatenate(right)))


# ---- text ---------------------------------------------------------------------------------------------------


def _write(
    subject: Subject,
    page: Page,
    summaries: Mapping[str, Summary],
    alike: Summary | None,
    accuracy: float | None,
    missing: str,
) -> None:
    page.text(
        f"{summaries['fast'].images} test images, each led to the classifier's second choice until it is sure of it "
        "(under 0.01 bit of doubt between the two, and no third class above). The source's solver goes over the first "
        f"{summaries['reference'].images} of them, with its own settings (Adam at 1e-3, at most 5000 steps). An end "
        f"is natural where its `other_p_value` is at least {NATURAL:g}; of reconstructions of held-out images 0.99 "
        "are, by calibration. Neither the judge nor this p-value takes part in the search."
    )
    page.text(
        missing
        if accuracy is None
        else f"The judge is a second, separately trained classifier; it reads {accuracy:.4f} of the test images right."
    )
    rows = [("FAST", summaries["fast"])]
    rows += [] if alike is None else [("FAST, the same images as the source's solver", alike)]
    rows += [] if alike is None else [("the source's solver", summaries["reference"])]
    cells = [_row(name, summary) for name, summary in rows]
    source = _SOURCE_FAILURE.get(subject.recipe.data.set)
    if source is not None:
        cells.append((f"the source's own figure, {source[1]}", 100, source[0], None, None, None, None))
    page.table(
        ("solver", "images", "failed", "judge agrees", "natural", "distance in z, median", "steps, median"), cells
    )


def _row(name: str, summary: Summary) -> Sequence[object]:
    return (
        name,
        summary.images,
        summary.failure_rate,
        summary.judge_agreement,
        summary.natural_p_value_share,
        summary.median_distance,
        summary.median_steps,
    )


# ---- figures ------------------------------------------------------------------------------------------------


def _draw(subject: Subject, fast: Morphs, slow: Morphs, page: Page) -> None:
    shown = _one_of_each_class(subject, len(slow) or len(fast), len(fast))
    page.figure(
        "morphing_gallery",
        morphing_figures.gallery([_example(subject, fast, slow, index) for index in shown]),
        "The first image of each class on its way to the class that the classifier thinks of second. Green: found, "
        "confirmed by the judge, and natural. Red: one of these fails.",
    )
    doubtful = _doubtful(fast)
    if len(doubtful):
        page.figure(
            "morphing_doubtful",
            morphing_figures.gallery([_example(subject, fast, None, int(index)) for index in doubtful[:_SHOWN]]),
            f"The {len(doubtful)} of {len(fast)} morphs that failed or that the judge contradicts"
            + (f", {_SHOWN} of them." if len(doubtful) > _SHOWN else "."),
        )
    if fast.p_values is not None and slow.p_values is not None:
        page.figure(
            "morphing_p_values",
            morphing_figures.naturalness(fast.p_values[fast.found], slow.p_values[slow.found]),
            "How natural the ends are. Dashed: reconstructions of held-out images, by calibration. Dotted: where an "
            "end counts as natural.",
        )


def _one_of_each_class(subject: Subject, preferred: int, count: int) -> list[int]:
    """The first image of each class, among the first `preferred` where there is one."""
    shown = []
    for k in range(len(subject.manifest.class_names)):
        of_class = np.flatnonzero(subject.predicted[:count] == k)
        if len(of_class):
            shown.append(int(of_class[of_class < preferred][0] if (of_class < preferred).any() else of_class[0]))
    return shown[:_SHOWN]


def _doubtful(fast: Morphs) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    contradicted = np.zeros(len(fast), np.bool_) if fast.confirmed is None else ~fast.confirmed
    failed = ~fast.found
    return np.concatenate([np.flatnonzero(failed), np.flatnonzero(contradicted & ~failed)])


def _example(subject: Subject, fast: Morphs, slow: Morphs | None, index: int) -> Example:
    names, found = subject.manifest.class_names, fast.morphs[index]
    return Example(
        image=subject.images[index],
        label=names[int(subject.splits.evaluation.labels[index])],
        seen_as=names[int(subject.predicted[index])],
        reconstruction=decoded(subject.autoencoder, [found.z_self])[0],
        between=between(subject.autoencoder, found, _WAY),
        end=_ending(names, fast, index),
        slow=_ending(names, slow, index) if slow is not None and index < len(slow) else None,
    )


def _ending(names: Sequence[str], outcome: Morphs, index: int) -> Ending:
    image: FloatArray = outcome.ends[index]
    p_values: DoubleArray = np.full(len(outcome), np.nan) if outcome.p_values is None else outcome.p_values
    return Ending(
        image=image,
        found=bool(outcome.found[index]),
        target=names[int(outcome.targets[index])],
        judge="" if outcome.judged is None else names[int(outcome.judged[index])],
        p_value=float(p_values[index]),
    )


SECTION = Section("morphing", "Semantic morphing", _run, without_path_masks, morphs=True)
