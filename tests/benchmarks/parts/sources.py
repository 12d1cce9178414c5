"""The sources' own solvers beside ours, digit by digit in turns; their objective on the same paths."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Part, Row
from tests.benchmarks.subjects.asked import MASK
from tests.benchmarks.subjects.sources_procedure import STEPS, Solved
from tests.benchmarks.worker import Worker

OURS, ON_ONNX, ON_TORCH, TORCH_CHECK = "ours, onnx", "source's, onnx", "source's, PyTorch", "source's, PyTorch, whole"
PROCEDURE = "tests.benchmarks.subjects.sources_procedure:solving"
FAST_CALLS = 5
"""Of ours on each digit: one is shorter than the machine's moods."""


def measure(effort: Effort) -> list[Part]:
    store = str(effort.store)
    fast: list[tuple[float, float]] = []
    with ExitStack() as stack:
        ours = stack.enter_context(
            Worker("tests.benchmarks.subjects.in_process:explaining", store=store, names=(MASK,), one_thread=True)
        )
        onnx = stack.enter_context(Worker(PROCEDURE, store=store, backend="onnx", steps=(STEPS,)))
        few = f"reference {effort.torch_steps}"
        torch = stack.enter_context(Worker(PROCEDURE, store=store, backend="torch", steps=(effort.torch_steps, STEPS)))
        ours.block(MASK, 0, FAST_CALLS, 1)
        for digit in range(effort.digits):
            effort.told(f"the sources' solvers: digit {digit + 1} of {effort.digits}")
            blocks = [ours.block(MASK, digit, 1, 1) for _ in range(FAST_CALLS)]
            fast.append((_median([block.seconds[0] for block in blocks]), _median([block.cpu for block in blocks])))
            onnx.block(f"reference {STEPS}", digit, 1, 1)
            if digit < effort.torch_digits:
                torch.block(few, digit, 1, 1)
            if digit == 0:
                torch.block(f"reference {STEPS}", digit, 1, 1)
        return [_part(fast, onnx.report(), torch.report(), effort)]


def _part(fast: Sequence[tuple[float, float]], onnx: Sequence[Solved], torch: Sequence[Solved], effort: Effort) -> Part:
    few = [each for each in torch if each.steps != STEPS]
    whole = [each for each in torch if each.steps == STEPS]
    drawn = next(each for each in few if each.digit == whole[0].digit)
    ratios = [each.fast_objective / each.objective for each in onnx]
    seconds = [wall for wall, _ in fast]
    middle = _median(seconds), _median([cpu for _, cpu in fast])
    ours = {"digits": len(fast), "cpu_median_s": middle[1], "least_objective_ratio": min(ratios)}
    return Part(
        name="sources",
        title="Path mask, morphing included: the sources' procedure beside ours",
        rows=[
            {"what": MASK, "how": OURS, **_seconds(seconds), **ours},
            _row(ON_ONNX, onnx, middle),
            _row(ON_TORCH, few, middle),
            _row(TORCH_CHECK, whole, middle),
        ],
        columns=(
            "what", "how", "median_s", "least_s", "most_s", "mask_median_s", "times_ours", "cpu_median_s",
            "times_our_cpu", "digits",
            "least_objective_ratio",
        ),
        notes=(
            f"One thread each, digit by digit in turns; ours: the median of {FAST_CALLS} on each digit.",
            f"PyTorch: {effort.torch_steps} of the mask's {STEPS} steps were taken and drawn out on a straight line; "
            f"on digit {drawn.digit} that says {drawn.whole_seconds:.1f} s, and all {STEPS} steps took "
            f"{whole[0].seconds:.1f} s. The source's morph is never shortened.",
            "Objective ratio: ours over the source's on the whole path of the source's morph, the least of all digits.",
        ),
    )  # fmt: skip


def _row(how: str, solved: Sequence[Solved], ours: tuple[float, float]) -> Row:
    """ours: median seconds, and median CPU seconds."""
    seconds = [each.whole_seconds for each in solved]
    cpu = _median([each.whole_cpu_seconds for each in solved])
    return {
        "what": MASK,
        "how": how,
        **_seconds(seconds),
        "mask_median_s": _median([each.mask_seconds * STEPS / each.steps for each in solved]),
        "times_ours": _median(seconds) / ours[0],
        "cpu_median_s": cpu,
        "times_our_cpu": cpu / ours[1],
        "digits": len(solved),
    }


def _seconds(seconds: Sequence[float]) -> Row:
    return {"median_s": _median(seconds), "least_s": min(seconds), "most_s": max(seconds)}


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
