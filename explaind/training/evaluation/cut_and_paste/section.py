"""The section on swapped regions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from explaind.explanations.types import BoolArray
from explaind.training.datasets.pedestrians import torso
from explaind.training.evaluation.cut_and_paste import swap_figures
from explaind.training.evaluation.cut_and_paste.swaps import Answers, Swap, ask, moved_region, nearest
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.masks.certificates import HALF, mask_of
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.section import Section, without_path_masks
from explaind.training.evaluation.subject import Subject

_SWAPS, _SHOWN = 200, 6

Finder = Callable[[int], tuple[BoolArray, int] | None]
"""Evaluation image → the region to swap, and the class of the image to swap with; None where there is none."""


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    count = min(extent.images, _SWAPS, len(subject.images))
    page.text(
        "[LR]'s test: a region is exchanged between two images of different classes, and both are scored again. If it "
        "is the region that decides, the answer goes with it. The second image is the nearest test image, in pixels, "
        "of the other class. The control is a region of the same shape elsewhere (at most a tenth shared), where the "
        "two images differ most: one that could well matter. What a hard edge does to the classifier is in both."
    )
    figures = {"mask": _measure(subject, count, "mask", "The path mask's region", _by_mask(subject), page)}
    if subject.recipe.data.set == "pedestrians":
        figures["torso"] = _measure(subject, count, "torso", "The torso", _by_torso(subject), page)
    return figures


def _by_mask(subject: Subject) -> Finder:
    def find(index: int) -> tuple[BoolArray, int] | None:
        result = mask_of(subject, index)
        region = np.asarray(result.mask > HALF)
        return (region, result.other_class) if region.any() and result.self_class != result.other_class else None

    return find


def _by_torso(subject: Subject) -> Finder:
    return lambda index: (torso(), 1 - int(subject.predicted[index]))


def _measure(subject: Subject, count: int, key: str, title: str, find: Finder, page: Page) -> dict[str, object]:
    swaps = _swaps(subject, count, find)
    page.heading(title)
    if not swaps:
        page.text("No two images of different classes with such a region.")
        return {"swaps": 0}
    region, control = (ask(subject.models.classifier, swaps, control=c) for c in (False, True))
    rates = {"region": _rates(swaps, region, control=False), "control": _rates(swaps, control, control=True)}
    page.table(
        (f"of {len(swaps)} swaps, both ways", "share of the image", "share of the difference", "answer goes with it",
         "answer stays", "its class gains, mean probability"),
        [(name, *values.values()) for name, values in rates.items()],
    )  # fmt: skip
    shown = _spaced(len(swaps), _SHOWN)
    page.figure(
        f"cut_and_paste_{key}",
        swap_figures.gallery(
            [swaps[i] for i in shown], _some(region, shown), _some(control, shown), subject.manifest.class_names
        ),
        f"{len(shown)} of the swaps, evenly through the test images. Green: the answer goes with the region, and stays "
        "where the control is swapped. Red: not so.",
    )
    return {"swaps": len(swaps), **rates}


def _swaps(subject: Subject, count: int, find: Finder) -> list[Swap]:
    """Of the first `count` images, those with a region and with an image of the other class to swap it with."""
    swaps = []
    for index in range(count):
        found = find(index)
        partners = np.flatnonzero(subject.predicted == found[1]) if found is not None else np.zeros(0, np.intp)
        if found is None or not len(partners):
            continue
        first = subject.images[index]
        second = subject.images[partners[nearest(first, subject.images[partners])]]
        apart = np.abs(first - second).sum(axis=0, dtype=np.float64)
        swaps.append(
            Swap(
                images=(first, second),
                classes=(int(subject.predicted[index]), found[1]),
                region=found[0],
                control=moved_region(found[0], apart),
            )
        )
    return swaps


def _rates(swaps: Sequence[Swap], answers: Answers, *, control: bool) -> dict[str, float]:
    regions = [swap.control if control else swap.region for swap in swaps]
    return {
        "area": float(np.mean([region.mean() for region in regions])),
        "difference_within": float(np.mean([s.difference_within(r) for s, r in zip(swaps, regions, strict=True)])),
        "followed": float(answers.followed.mean()),
        "kept": float(answers.kept.mean()),
        "moved": float(answers.moved.mean()),
    }


def _spaced(count: int, wanted: int) -> list[int]:
    return [int(i) for i in np.unique(np.linspace(0, count - 1, min(count, wanted)).round())]


def _some(answers: Answers, places: Sequence[int]) -> Answers:
    chosen = list(places)
    return Answers(
        seen=answers.seen[chosen],
        followed=answers.followed[chosen],
        kept=answers.kept[chosen],
        moved=answers.moved[chosen],
    )


SECTION = Section("cut_and_paste", "Swapped regions", _run, without_path_masks, morphs=True)
