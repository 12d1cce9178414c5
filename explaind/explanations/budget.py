"""How long a computation may go on: the caller's deadline and cancellation, seen between steps."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from explaind.errors import Cancelled


@dataclass(slots=True)
class Budget:
    """deadline: seconds on `time.monotonic`, None for no bound.

    Solvers call `raise_if_cancelled` before each backend call and ask `nearly_spent` before each further step;
    `reserve` (seconds) is what they keep back to finish an answer.
    """

    deadline: float | None = None
    _cancelled: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Thread-safe; the computation ends at its next step."""
        self._cancelled.set()

    def raise_if_cancelled(self) -> None:
        if self._cancelled.is_set():
            raise Cancelled("The caller cancelled the request.")

    def remaining(self) -> float:
        """Seconds left; infinite without a deadline, negative once it has passed."""
        return float("inf") if self.deadline is None else self.deadline - time.monotonic()

    def nearly_spent(self, reserve: float = 0.05) -> bool:
        return self.remaining() <= reserve
