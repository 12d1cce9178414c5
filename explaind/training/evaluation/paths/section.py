"""The section on paths: entropy and gradient along them, and norms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import numpy as np

from explaind.explanations.types import DoubleArray, Interpolation
from explaind.training.evaluation.extent import Extent
from explaind.training.evaluation.page import Page
from explaind.training.evaluation.paths import paths_figures
from explaind.training.evaluation.paths.entropy_gradient import Trace, trace
from explaind.training.evaluation.paths.pairs import Pair, morph_pairs, training_pairs
from explaind.training.evaluation.paths.path_norms import norm_ratios, spread
from explaind.training.evaluation.section import Section, without_path_masks
from explaind.training.evaluation.subject import Subject

_STEPS = 100
_SOURCE, _SOURCE_EXAMPLE = 0.593, 0.663
_THIRDS = ("first third", "second third", "last third")
_NEAREST, _MORPHS = "nearest training images", "our morphs"


def _run(subject: Subject, extent: Extent, page: Page) -> Mapping[str, object]:
    nearest = training_pairs(subject, extent.paths)
    morphs = morph_pairs(subject, min(extent.paths, extent.images, len(subject.images)))
    groups = {name: pairs for name, pairs in ((_NEAREST, nearest), (_MORPHS, morphs)) if pairs}
    if not groups:
        page.text("No path: the classifier sees one class in all reconstructions, and nothing can be morphed.")
        return {"paths": 0}
    return {"entropy_gradient": _entropy(subject, groups, page), "norms": _norms(groups, page)}


# ---- entropy and gradient -----------------------------------------------------------------------------------


def _entropy(subject: Subject, groups: Mapping[str, Sequence[Pair]], page: Page) -> dict[str, object]:
    models = subject.morphing_models()
    curves = {_NEAREST: (Interpolation.RADIAL, Interpolation.SLERP), _MORPHS: (Interpolation.SLERP,)}
    traces = {
        (name, kind): [trace(models, pair, kind, _STEPS) for pair in pairs]
        for name, pairs in groups.items()
        for kind in curves[name]
    }
    page.heading("Entropy and gradient")
    page.text(
        "Is the classifier's slope steep where it cannot tell two classes apart? Pearson's correlation of the entropy "
        f"between two classes with the size of a gradient, along the {_STEPS} images of a path. The source joins "
        "training images to the nearest of another class by cosine, on its radial curve (we take the cosine of the "
        f"codes), and reports {_SOURCE:g} over 1,000 paths, {_SOURCE_EXAMPLE:g} for the one it shows. The gradient of "
        "the probability between two classes is that of their logits' difference times p(1 − p), which is nearly the "
        "entropy itself, so this correlation is close to 1 for any classifier; that of the difference of logits is "
        "not forced, and is the one to compare."
    )
    page.table(
        ("paths", "curve", "number", "‖∇ probability‖, mean", "‖∇ difference of logits‖, mean", "deviation", "median"),
        [(name, kind.value, len(t), *_row(t)) for (name, kind), t in traces.items()],
    )
    first = next(iter(traces.values()))
    thirds = {name: [t for t in first if t.third == place] for place, name in enumerate(_THIRDS)}
    page.text(f"The {len(first)} paths of the first row by the third of the path in which the entropy's window starts:")
    page.table(
        ("window starts in the", "number", "‖∇ probability‖, mean", "‖∇ difference of logits‖, mean", "deviation",
         "median"),
        [(name, len(t), *_row(t)) for name, t in thirds.items()],
    )  # fmt: skip
    _draw(subject, groups, traces, page)
    summaries = {f"{name}, {kind.value}": _figures(t) for (name, kind), t in traces.items()}
    return {**summaries, "thirds": {name: _figures(t) for name, t in thirds.items()}}


def _draw(
    subject: Subject,
    groups: Mapping[str, Sequence[Pair]],
    traces: Mapping[tuple[str, Interpolation], Sequence[Trace]],
    page: Page,
) -> None:
    shown = {name: next(t for (group, _), t in traces.items() if group == name) for name in groups}
    page.figure(
        "paths_correlation",
        paths_figures.correlations(shown, _SOURCE),
        "How well the size of the gradient follows the entropy, path by path. Brown: the source's "
        "kind of pairs. Green: our morphs.",
    )
    group, several = next(iter(shown.items()))
    values = _known([t.logit_correlation for t in several])
    if not len(values):
        return
    middle = min(
        (abs(t.logit_correlation - float(np.median(values))), i)
        for i, t in enumerate(several)
        if np.isfinite(t.logit_correlation)
    )[1]
    names, classes = subject.manifest.class_names, groups[group][middle].classes
    page.figure(
        "paths_example",
        paths_figures.one_path(several[middle], names[classes[0]], names[classes[1]]),
        "The path whose correlation is the median one. Gradients by their own largest; grey: the entropy's window.",
    )


def _row(traces: Sequence[Trace]) -> tuple[float | None, ...]:
    figures = _figures(traces)
    return tuple(figures[key] for key in ("probability_mean", "logits_mean", "logits_deviation", "logits_median"))


def _figures(traces: Sequence[Trace]) -> dict[str, float | None]:
    """Over the paths whose correlation is defined; None where there is none."""
    figures: dict[str, float | None] = {"paths": float(len(traces))}
    for name, values in (
        ("probability", _known([t.correlation for t in traces])),
        ("logits", _known([t.logit_correlation for t in traces])),
    ):
        some = len(values) > 0
        figures[f"{name}_mean"] = float(values.mean()) if some else None
        figures[f"{name}_deviation"] = float(values.std()) if some else None
        figures[f"{name}_median"] = float(np.median(values)) if some else None
    return figures


def _known(values: Sequence[float]) -> DoubleArray:
    array = np.array(values, dtype=np.float64)
    return array[np.isfinite(array)]


# ---- norms --------------------------------------------------------------------------------------------------


def _norms(groups: Mapping[str, Sequence[Pair]], page: Page) -> dict[str, object]:
    ratios = {name: {kind: norm_ratios(pairs, kind) for kind in Interpolation} for name, pairs in groups.items()}
    cosines = {name: float(np.median([pair.cosine for pair in pairs])) for name, pairs in groups.items()}
    page.heading("Norms on the way")
    page.text(
        "The norm of the codes along a path, over one that goes evenly from the start's to the end's. Codes that are "
        "much shorter or longer than the data's decode to images that the decoder has not learnt. Slerp stays at 1 by "
        "construction; the source's radial curve does so only for codes at a right angle, and these are not (cosine, "
        "median: " + ", ".join(f"{cosine:.2f} {name}" for name, cosine in cosines.items()) + ")."
    )
    spreads = {(name, kind): spread(rows) for name, kinds in ratios.items() for kind, rows in kinds.items()}
    page.table(
        ("paths", "curve", "least, median", "largest, median", "least of all", "largest of all"),
        [(name, kind.value, *asdict(s).values()) for (name, kind), s in spreads.items()],
    )
    page.figure("paths_norms", paths_figures.norms(ratios), "Median and 5 to 95 % of the norm along the paths.")
    return {
        **{f"{name}, {kind.value}": asdict(s) for (name, kind), s in spreads.items()},
        "median_cosine": cosines,
    }


SECTION = Section("paths", "Paths between classes", _run, without_path_masks, morphs=True)
