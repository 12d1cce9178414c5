"""The source's own procedure, morph and mask, whole or with fewer of its mask's steps; and ours on the same paths.

Reached from outside: the solver's module is entered with another number of steps, its time and arguments are kept.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from explaind.explanations import mask_on_path, path_mask_reference_solver
from explaind.explanations.budget import Budget
from explaind.explanations.types import PathMaskParameters, Solver
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.subjects.in_process import ONE_THREAD, opened
from tests.benchmarks.worker import Call, Stage

STEPS = path_mask_reference_solver.STEPS


@dataclass
class Solved:
    """One digit. steps: of the mask that were taken. seconds: of all; mask_seconds: of these steps; cpu_seconds,
    mask_cpu_seconds: the same of the process. objective: the source's, fast_objective: ours on the same path (the
    source's morph)."""

    digit: int
    steps: int
    seconds: float
    mask_seconds: float
    cpu_seconds: float
    mask_cpu_seconds: float
    objective: float
    fast_objective: float

    @property
    def whole_seconds(self) -> float:
        """Of all steps: as measured, or on a straight line from those that were taken."""
        return self.seconds + self.mask_seconds * (STEPS / self.steps - 1)

    @property
    def whole_cpu_seconds(self) -> float:
        return self.cpu_seconds + self.mask_cpu_seconds * (STEPS / self.steps - 1)


class Procedure:
    """Solves digits with the source's procedure and remembers what each took."""

    def __init__(self, engine: Any, images: Any) -> None:
        self._engine, self._images = engine, images
        self._steps = STEPS
        self._mask = 0.0, 0.0
        self._arguments: tuple[Any, ...] = ()
        self.solved: list[Solved] = []

    def call(self, steps: int) -> Call:
        def call(number: int) -> int:
            self._steps = steps
            digit = number % len(self._images)
            request = what.engine_request(what.MASK, self._images[digit], solver=Solver.REFERENCE)
            began = _clocks()
            mask = self._engine.explain(request, Budget()).path_mask
            (seconds, cpu), (mask_seconds, mask_cpu) = _since(began), self._mask
            self.solved.append(Solved(digit, steps, seconds, mask_seconds, cpu, mask_cpu, mask.objective, self._ours()))
            return 1

        return call

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While entered, the reference solver takes our number of steps and is timed."""
        reference, on_path = path_mask_reference_solver.solve, mask_on_path.solve

        def solve(*given: Any, **keywords: Any) -> Any:
            began = _clocks()
            try:
                return reference(*given, **{**keywords, "steps": self._steps})
            finally:
                self._mask = _since(began)

        def kept(*given: Any) -> Any:
            self._arguments = given
            return on_path(*given)

        path_mask_reference_solver.solve, mask_on_path.solve = solve, kept
        try:
            yield
        finally:
            path_mask_reference_solver.solve, mask_on_path.solve = reference, on_path

    def _ours(self) -> float:
        """The FAST solver's objective on the path that the source's was just found on; not timed."""
        fast = [
            replace(each, solver=Solver.FAST) if isinstance(each, PathMaskParameters) else each
            for each in self._arguments
        ]
        kept = self._arguments
        try:
            return float(mask_on_path.solve(*fast).objective)
        finally:
            self._arguments = kept


def _clocks() -> tuple[float, float]:
    """Of the wall and of this process."""
    return time.perf_counter(), time.process_time()


def _since(began: tuple[float, float]) -> tuple[float, float]:
    now = _clocks()
    return now[0] - began[0], now[1] - began[1]


@contextmanager
def solving(store: str, backend: str, steps: Sequence[int]) -> Iterator[Stage]:
    """Calls: `reference N` for each number of steps of the mask. The report: a `Solved` for each call so far."""
    with opened(Path(store), backend, **ONE_THREAD) as engine:
        procedure = Procedure(engine, what.pixels(what.digits()))
        with procedure.watching():
            yield Stage({f"reference {n}": procedure.call(n) for n in steps}, report=lambda: procedure.solved)
