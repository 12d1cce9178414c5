"""The caller of this thread's model calls: what a backend that leaves the process passes on.

The Protocols know nothing of requests, so it travels beside them, in a context variable that the request's thread
sets.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CallContext:
    """request_id: for the other side's log. deadline: seconds on `time.monotonic`, None for no bound."""

    request_id: str = ""
    deadline: float | None = None


_current: ContextVar[CallContext] = ContextVar("explaind_call_context", default=CallContext())  # noqa: B039


@contextmanager
def calling(*, request_id: str = "", deadline: float | None = None) -> Iterator[None]:
    """Model calls inside, on this thread, are made for this request."""
    token = _current.set(CallContext(request_id, deadline))
    try:
        yield
    finally:
        _current.reset(token)


def current() -> CallContext:
    return _current.get()
