"""Callers in threads of their own that tell when they wait, and a recorded graph in NumPy. No sleeps anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from explaind.backends.call_context import calling
from explaind.engine.batching.batcher import Batcher
from explaind.engine.batching.graph import Graph, Outputs
from explaind.explanations.budget import Budget
from explaind.requests import CostClass

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until a test that hangs is ended; nothing is measured by it."""
POISON = -1.0


class SeenBudget(Budget):
    """Tells when its caller has begun to wait for its turn."""

    def __init__(self, deadline: float | None = None) -> None:
        super().__init__(deadline)
        self.waits = threading.Event()

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        with super().waking(wake):
            self.waits.set()
            yield


class Caller(Generic[T]):
    """`work` in a thread of its own, on behalf of a request."""

    def __init__(
        self,
        work: Callable[[], T],
        *,
        deadline: float | None = None,
        cost_class: CostClass = CostClass.FAST,
        budget: SeenBudget | None = None,
    ) -> None:
        self.budget = budget or SeenBudget(deadline)
        self._cost_class = cost_class
        self._work = work
        self._future: Future[T] = Future()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            with calling(budget=self.budget, cost_class=self._cost_class):
                self._future.set_result(self._work())
        except BaseException as error:
            self._future.set_exception(error)

    def once_it_waits(self) -> Caller[T]:
        assert self.budget.waits.wait(PATIENCE), "it did not come to wait"
        return self

    def result(self) -> T:
        return self._future.result(PATIENCE)

    def error(self) -> BaseException | None:
        return self._future.exception(PATIENCE)


@dataclass
class Doubling:
    """Rows times two; `calls`: what each call of it was given. One that holds POISON is refused as a whole with
    `failure`; `before`: called first, with the rows."""

    calls: list[NDArray[Any]] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    observed: list[tuple[int, int]] = field(default_factory=list)
    failure: BaseException = field(default_factory=lambda: ValueError("poisoned"))
    before: Callable[[NDArray[Any]], None] = field(default=lambda _: None)

    def __call__(self, rows: NDArray[Any]) -> Outputs:
        self.calls.append(rows)
        self.threads.append(threading.current_thread())
        self.before(rows)
        if (rows == POISON).any():
            raise self.failure
        return (2 * rows,)

    def observe(self, calls: int, rows: int) -> None:
        self.observed.append((calls, rows))

    def graph(self) -> Graph:
        return Graph(self, self.observe)

    @property
    def counts(self) -> list[int]:
        """Rows of each call."""
        return [len(rows) for rows in self.calls]

    @property
    def firsts(self) -> list[float]:
        """The first number of each call."""
        return [float(rows.flat[0]) for rows in self.calls]


def rows_of(value: float, count: int = 1) -> NDArray[np.float32]:
    return np.full((count, 3), value, np.float32)


@contextmanager
def occupied(batcher: Batcher, slots: int = 1, cost_class: CostClass = CostClass.FAST) -> Iterator[None]:
    """Inside, that many slots compute something of another graph that does not end."""
    release, inside = threading.Event(), threading.Barrier(slots + 1)

    def hold(rows: NDArray[Any]) -> Outputs:
        inside.wait(PATIENCE)
        release.wait(PATIENCE)
        return (rows,)

    graph = Graph(hold, lambda calls, rows: None)
    holders = [Caller(lambda: batcher.run(graph, (rows_of(0.0),)), cost_class=cost_class) for _ in range(slots)]
    inside.wait(PATIENCE)
    try:
        yield
    finally:
        release.set()
        for holder in holders:
            holder.result()


def assert_all_free(batcher: Batcher, slots: int) -> None:
    """No slot was lost: so many calls compute at once, of the slow class one less."""
    assert batcher.waiting == 0
    with occupied(batcher, slots):
        pass
    with occupied(batcher, max(1, slots - 1), CostClass.SLOW):
        pass
