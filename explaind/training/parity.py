"""The parity gate: every exported graph against PyTorch on held-out images, before a bundle is written (DESIGN §4).

A network of ReLUs has no gradient where a unit's input is 0, only one to each side. Within rounding of such a kink
two correct programs may answer from different sides, far apart: of 500 MNIST codes 2 lay so (0.017 apart; the other
498 within 8e-6). There the graph must agree with PyTorch at an input that differs by rounding. What a graph computes
wrongly is wrong on both sides. Forward outputs are continuous and get no such allowance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from explaind.backends.bundle_models import BundleModels
from explaind.backends.probe import TOLERANCE, Questions, answers, row_differences, worst_by_graph
from explaind.errors import ParityFailed
from explaind.explanations.models import FloatArray
from explaind.explanations.types import DoubleArray

ROUNDING = 1e-6
"""Deviation of a nudge: what float32 loses on the way through a network. Too large: it blurs real differences."""
NUDGES = 16
WIDER = (4e-6, 1.6e-5)
"""Tried where no nudge of ROUNDING gets across: sums deep in a network lose more than its input moves them. One code of
500 (FashionMNIST) had a unit at 3.3e-7 which PyTorch left above 0, in float64 too, and the graph below; the gradient
jumps by 6e-4 of 5.5 there."""
KINK_SHARE = 0.1
"""Rows (or a single one) that may lie at a kink; each must then agree within TOLERANCE at a nudge. More of them are no
coincidence but a wrong graph. [PM]'s CIFAR-10 networks, with ten times the units of its MNIST ones: 26 rows of 500."""

MEDIAN_SHARE, WORST_SHARE = 0.01, 0.1
"""Of a gradient's length, what its difference may be where every image has kinks: a unit on the other side changes few
pixels of some images, a wrong graph most pixels of all."""


def check(
    exported: BundleModels, pytorch: BundleModels, asked: Questions, *, many_kinks: bool = False
) -> dict[str, float]:
    """Worst absolute difference by graph, rounded up to two figures; at kinks, from the nearer side.

    many_kinks: of a network so large that among its hundred thousand units some are within rounding of 0 for every
    image (ResNet-18: 0.0008 apart). Its gradients are held to MEDIAN_SHARE and WORST_SHARE; what it computes forward
    to TOLERANCE like any other.
    Raises ParityFailed, naming the graph, over TOLERANCE or where a value is no number.
    """
    found, expected = answers(exported, asked), answers(pytorch, asked)
    differences = {key: row_differences(array, expected[key]) for key, array in found.items()}
    apart = _gradients(found) if many_kinks else []
    if many_kinks:
        _require_alike(found, expected)
    else:
        _take_nearer_side(differences, found, pytorch, asked)
    worst = worst_by_graph(differences)
    held = worst_by_graph({key: rows for key, rows in differences.items() if key not in apart})
    for graph, difference in held.items():
        if not difference <= TOLERANCE:
            raise ParityFailed(
                f"The graph {graph} differs from PyTorch by {difference:.3g} on held-out images, over {TOLERANCE:g}: "
                "no bundle was written. Compare the graph's operators with the layer table.",
                metadata={"graph": graph, "difference": f"{difference:.3g}"},
            )
    return {graph: _rounded_up(difference) for graph, difference in sorted(worst.items())}


def steadiest_rows(pytorch: BundleModels, asked: Questions, count: int) -> NDArray[np.int64]:
    """The rows, in order, whose gradients change least under nudges: those far from kinks, fit for a probe that
    other machines must answer alike."""
    expected = answers(pytorch, asked)
    change = np.zeros(len(asked.images))
    for nudged in _nudges(asked):
        again = answers(pytorch, nudged)
        for key in _gradients(expected):
            change = np.maximum(change, row_differences(again[key], expected[key]))
    return np.sort(np.argsort(change, kind="stable")[:count])


def _require_alike(found: dict[str, FloatArray], expected: dict[str, FloatArray]) -> None:
    """Raises ParityFailed where gradients differ by more than kinks explain."""
    for key in _gradients(found):
        ours, theirs = (array.astype(np.float64).reshape(len(array), -1) for array in (found[key], expected[key]))
        lengths = np.maximum(np.linalg.norm(theirs, axis=1), TOLERANCE)
        shares = np.linalg.norm(ours - theirs, axis=1) / lengths
        if not (np.median(shares) <= MEDIAN_SHARE and np.max(shares) <= WORST_SHARE):
            raise ParityFailed(
                f"The graph {key} differs from PyTorch by {np.median(shares):.2g} of its length in the median and "
                f"{np.max(shares):.2g} at most, over {MEDIAN_SHARE:g} and {WORST_SHARE:g}: no bundle was written.",
                metadata={"graph": key, "difference": f"{np.max(shares):.3g}"},
            )


def _take_nearer_side(
    differences: dict[str, DoubleArray], found: dict[str, FloatArray], pytorch: BundleModels, asked: Questions
) -> None:
    """Lowers the gradients' differences, in place, to those from the nearest nudge."""
    keys = _gradients(found)
    if not keys:
        return
    far = np.flatnonzero(np.max([differences[key] for key in keys], axis=0) > TOLERANCE)
    if not 0 < len(far) <= max(1, KINK_SHARE * len(asked.images)):
        return
    for size in (ROUNDING, *WIDER):
        for nudged in _nudges(asked.take(far), size):
            again = answers(pytorch, nudged)
            for key in keys:
                nearer = row_differences(found[key][far], again[key])
                differences[key][far] = np.minimum(differences[key][far], nearer)
        if all((differences[key][far] <= TOLERANCE).all() for key in keys):
            return


def _gradients(outputs: dict[str, FloatArray]) -> list[str]:
    return [key for key in outputs if key.endswith(".gradient")]


def _nudges(asked: Questions, size: float = ROUNDING) -> Iterator[Questions]:
    generator = np.random.default_rng(0)

    def nudged(array: FloatArray) -> FloatArray:
        return (array + size * generator.standard_normal(array.shape)).astype(np.float32)

    for _ in range(NUDGES):
        yield Questions(nudged(asked.images), asked.weights, {name: nudged(z) for name, z in asked.codes.items()})


def _rounded_up(value: float) -> float:
    """Two significant figures: the last bits of a difference say nothing and would unsettle the digest."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.1e}")
