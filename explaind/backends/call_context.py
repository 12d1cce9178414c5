"""The caller of this thread's model calls: what a backend that leaves the process passes on, and what decides who
computes first where calls must wait.

The Protocols know nothing of requests, so it travels beside them, in a context variable that the request's thread
sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from explaind.explanations.budget import Budget
from explaind.requests import CostClass


@dataclass(frozen=True, slots=True)
class CallContext:
    """request_id: for the other side's log. budget: how long the caller waits. cost_class: whom its calls take turns
    with."""

    request_id: str = ""
    budget: Budget = field(default_factory=Budget)
    cost_class: CostClass = CostClass.FAST

    @property
    def deadline(self) -> float | None:
        """Seconds on `time.monotonic`, None for no bound."""
        return self.budget.deadline


_current: ContextVar[CallContext] = ContextVar("explaind_call_context", default=CallContext())  # noqa: B039


@contextmanager
def calling(
    *,
    request_id: str = "",
    budget: Budget | None = None,
    deadline: float | None = None,
    cost_class: CostClass = CostClass.FAST,
) -> Iterator[None]:
    """Model calls inside, on this thread, are made for this request. deadline: of a caller without a budget."""
    token = _current.set(CallContext(request_id, budget or Budget(deadline), cost_class))
    try:
        yield
    finally:
        _current.reset(token)


def current() -> CallContext:
    return _current.get()
