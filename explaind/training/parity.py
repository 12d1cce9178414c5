"""The parity gate: every exported graph against PyTorch on held-out images, before a bundle is written (DESIGN §4)."""

from __future__ import annotations

import math

from explaind.backends.bundle_models import BundleModels
from explaind.backends.probe import TOLERANCE, Questions, answers, worst_differences
from explaind.errors import ParityFailed


def check(exported: BundleModels, pytorch: BundleModels, asked: Questions) -> dict[str, float]:
    """Worst absolute difference by graph, rounded up to two figures.

    Raises ParityFailed, naming the graph, over TOLERANCE or where a value is no number.
    """
    worst = worst_differences(answers(exported, asked), answers(pytorch, asked))
    for graph, difference in worst.items():
        if not difference <= TOLERANCE:
            raise ParityFailed(
                f"The graph {graph} differs from PyTorch by {difference:.3g} on held-out images, over {TOLERANCE:g}: "
                "no bundle was written. Compare the graph's operators with the layer table.",
                metadata={"graph": graph, "difference": f"{difference:.3g}"},
            )
    return {graph: _rounded_up(difference) for graph, difference in sorted(worst.items())}


def _rounded_up(value: float) -> float:
    """Two significant figures: the last bits of a difference say nothing and would unsettle the digest."""
    if value == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return float(f"{math.ceil(value / unit) * unit:.1e}")
