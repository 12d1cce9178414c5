"""How long a computation may go on: the caller's deadline and cancellation, seen between steps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from explaind.errors import Cancelled


@dataclass(slots=True)
class Budget:
    """deadline: seconds on `time.monotonic`, None for no bound.

    Solvers call `raise_if_cancelled` before each backend call and ask `nearly_spent` before each further step;
    `reserve` (seconds) is what they keep back to finish an answer.
    """

    deadline: float | None = None
    _cancelled: bool = False
    _sleepers: list[Callable[[], object]] = field(default_factory=list)

    def cancel(self) -> None:
        """Thread-safe; the computation ends at its next step, and at once where it waits for its turn."""
        self._cancelled = True
        for wake in tuple(self._sleepers):
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Inside, `cancel` calls `wake` too, from its own thread: for who waits and must not miss it.

        wake: called at once where the budget is cancelled already; must not block, and may be called once more than
        need be.
        """
        self._sleepers.append(wake)
        try:
            if self._cancelled:  # whoever cancelled may have looked before we were there
                wake()
            yield
        finally:
            self._sleepers.remove(wake)

    def raise_if_cancelled(self) -> None:
        if self._cancelled:
            raise Cancelled("The caller cancelled the request.")

    def remaining(self) -> float:
        """Seconds left; infinite without a deadline, negative once it has passed."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def nearly_spent(self, reserve: float = 0.05) -> bool:
        return self.remaining() <= reserve
