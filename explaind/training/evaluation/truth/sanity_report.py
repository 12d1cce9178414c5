"""What the report says of the checks that need no known cause: random layers, noise, deletion along the path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from explaind.explanations.types import IntArray
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.subject import Subject
from explaind.training.evaluation.truth import sanity_figures
from explaind.training.evaluation.truth.deletion import DIFFERENCE, METHODS, RANDOM, Deletion, delete
from explaind.training.evaluation.truth.pixel_maps import OTHERS, PATH_MASK
from explaind.training.evaluation.truth.randomisation import TOP, Stage, randomise
from explaind.training.evaluation.truth.rankings_of import COMPARED
from explaind.training.evaluation.truth.stability import Noisy, disturb
from explaind.training.evaluation.truth.white_box import WhiteBox

MOST = 60
MOST_RANDOMISED = 20
_LARGE = 1500  # pixels; larger images are fewer, as each costs more


def write(subject: Subject, box: WhiteBox, extent: Extent, page: Page) -> Mapping[str, object]:
    """The three checks on images from all parts of the evaluation set, which may be sorted by class."""
    count = _count(subject, min(extent.images, MOST))
    few = _count(subject, max(2, min(extent.images // 3, MOST_RANDOMISED)))
    images = subject.images[spread(len(subject.images), few)]
    stages, maps = randomise(subject, images)
    noisy = disturb(subject, box, images)
    deletion = delete(subject, box, subject.images[spread(len(subject.images), count)])
    page.heading("Random layers must destroy it")
    _write_randomisation(stages, few, page)
    shown = next((i for i, mask in enumerate(maps[0].masks) if mask.mask.any()), 0)
    page.figure("truth_cascade", sanity_figures.cascade_gallery(images[shown], maps, shown),
                "One image as the classifier's layers are shuffled from the top down.")  # fmt: skip
    page.heading("A little noise must not")
    _write_stability(noisy, few, page)
    page.heading("Deletion along the path")
    _write_deletion(deletion, count, page)
    return {
        "randomisation": {"images": few, "stages": [asdict(stage) for stage in stages]},
        "stability": {"images": few, "noise": [_noise(one) for one in noisy]},
        "deletion": {
            "images": deletion.images,
            "area": {name: float(np.mean(area)) for name, area in deletion.areas.items()},
        },
    }


def _count(subject: Subject, most: int) -> int:
    height, width = subject.images.shape[2:]
    return min(len(subject.images), most if height * width <= _LARGE else max(2, most * 2 // 5))


def spread(size: int, count: int) -> IntArray:
    """`count` places from 0 to size − 1, evenly apart."""
    return np.linspace(0, size - 1, count).astype(np.int32)


def _write_randomisation(stages: Sequence[Stage], count: int, page: Page) -> None:
    last = stages[-1]
    unmoved = [name for name in OTHERS if last.correlation[name] >= 0.5]
    page.text(
        f"The classifier's weights are shuffled within each layer, from the top layer down, and {count} images are "
        "explained again: maps by rank correlation, with and without their sign, and by IoU of the marked pixels "
        f"(path mask as served, the others' strongest {TOP:.0%}), rankings by rank correlation of the latents' "
        "magnitudes, with the table and the forest taken anew from each network. An explanation that stays does not "
        "depend on what the classifier learnt."
    )
    kept = f"{last.signed[PATH_MASK]:.2f}, {last.correlation[PATH_MASK]:.2f} without sign"
    page.text(
        f"With all layers random the path mask keeps a rank correlation of {kept}, and an IoU of "
        f"{last.overlap[PATH_MASK]:.2f}. Without sign the empty background, which most methods leave at 0 whatever the "
        "network, counts as likeness. "
        + (f"Of the others these stay at 0.5 or above without sign: {', '.join(unmoved)}." if unmoved else "")
    )
    header = ["random layers", "classed alike", "with a path mask", *(_method(name) for name in (PATH_MASK, *OTHERS))]
    page.table(header, [[s.layers, s.agreement, s.explained, *s.signed.values()] for s in stages])
    unsigned = ["random layers, without sign", *header[3:]]
    page.table(unsigned, [[s.layers, *s.correlation.values()] for s in stages])
    names = [method.value for method in COMPARED if method.value in last.rankings]
    rows = [[s.layers, *(s.rankings[name] for name in names), s.overlap[PATH_MASK],
             s.similarity.get(PATH_MASK)] for s in stages]  # fmt: skip
    page.table(["random layers", *(_method(name) for name in names), "path mask, IoU", "path mask, SSIM"], rows)
    page.figure("truth_random_layers", sanity_figures.cascades(stages), "Likeness to the trained classifier's "
                "explanation as its layers are shuffled; the mean over images.")  # fmt: skip


def _write_stability(noisy: Sequence[Noisy], count: int, page: Page) -> None:
    page.text(
        f"{count} images with Gaussian noise, cut off at 0 and 1, beside the same without it, explained for the same "
        "two classes. Rank correlations are medians. The p-value is meant to see noise, and to fall: the images are "
        "then no longer as those that the autoencoder learnt."
    )
    names = [method.value for method in COMPARED if method.value in noisy[0].rankings]
    header = ["deviation", "classed alike", "path mask, IoU, median", *(_method(name) for name in names),
              "p-value, median change", "flagged before", "flagged"]  # fmt: skip
    rows = [
        [n.deviation, n.same_class, float(np.median(n.overlap)), *(n.rankings[name] for name in names),
         n.p_value_change, n.flagged_before, n.flagged]
        for n in noisy
    ]  # fmt: skip
    page.table(header, rows)
    page.table(["rank correlation of maps, deviation", *(_method(name) for name in (PATH_MASK, *OTHERS))],
               [[n.deviation, *n.correlation.values()] for n in noisy])  # fmt: skip


def _write_deletion(deletion: Deletion, count: int, page: Page) -> None:
    areas = {name: float(np.mean(area)) for name, area in deletion.areas.items()}
    page.text(
        f"Of {count} images {deletion.images} have a morph. The pixels of the decoded image go over to those of its "
        "counterpart in the order of each attribution's magnitude, and p(self) is read at every step: both ends are "
        "decoded images, and no pixel is blackened. Smaller areas are better. Two controls: a random order, and the "
        "size of the change itself, which knows the counterpart but not the classifier. The path mask's area is "
        f"{areas[PATH_MASK]:.3f}, the control's that knows the counterpart {areas[DIFFERENCE]:.3f}, a random order's "
        f"{areas[RANDOM]:.3f}; the best of the others, {min(OTHERS, key=areas.__getitem__)}, has "
        f"{min(areas[name] for name in OTHERS):.3f}. The others do not know the counterpart."
    )
    page.table(["order", "area, mean", "area, median"],
               [[name, areas[name], float(np.median(deletion.areas[name]))]
                for name in sorted(METHODS, key=areas.__getitem__)])  # fmt: skip
    page.figure("truth_deletion", sanity_figures.deletions(deletion), "p(self) as pixels go over to the counterpart.")


def _noise(one: Noisy) -> dict[str, object]:
    return {
        "deviation": one.deviation,
        "same_class": one.same_class,
        "mask_iou_median": float(np.median(one.overlap)),
        "map_correlation": one.correlation,
        "ranking_correlation": one.rankings,
        "p_value_change": one.p_value_change,
        "flagged": one.flagged,
        "flagged_before": one.flagged_before,
    }


def _method(name: str) -> str:
    return name.replace("_", " ")
