"""Explanations of bundles of random weights, and path masks of the demo bundle with more or fewer steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from explaind.engine import Engine
from explaind.explanations.budget import Budget
from explaind.explanations.types import Explanation
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.subjects import untrained_sizes
from tests.benchmarks.subjects.in_process import ONE_THREAD, opened
from tests.benchmarks.worker import Call, Stage

IMAGES = 8
NAMES = (what.RANKING, what.ANOMALY, what.MASK)


@contextmanager
def explaining(store: str, model: str, side: int) -> Iterator[Stage]:
    """Calls: each explanation. The report: how path masks ended, by outcome."""
    images = untrained_sizes.images(Path(store) / model / "1", IMAGES, side)
    ends: Counter[str] = Counter()

    def counted(explanation: Explanation) -> None:
        if explanation.path_mask is not None:
            ends[explanation.path_mask.outcome.value] += 1

    with opened(Path(store), "onnx", **ONE_THREAD) as engine:
        calls = {
            name: _call(engine, [what.engine_request(name, image, model) for image in images], counted)
            for name in NAMES
        }
        yield Stage(calls, report=lambda: dict(ends))


@contextmanager
def stepping(store: str, counts: Sequence[int]) -> Iterator[Stage]:
    """Calls: `N steps` for each count."""
    images = what.pixels(what.digits())
    with opened(Path(store), "onnx", **ONE_THREAD) as engine:
        yield Stage(
            {
                f"{count} steps": _call(
                    engine, [what.engine_request(what.MASK, image, step_count=count) for image in images]
                )
                for count in counts
            }
        )


def _call(engine: Engine, requests: Sequence[Any], seen: Any = lambda _: None) -> Call:
    def call(number: int) -> int:
        seen(engine.explain(requests[number % len(requests)], Budget()))
        return 1

    return call
