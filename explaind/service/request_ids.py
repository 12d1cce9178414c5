"""The id of a request: the caller's `x-request-id`, or one made here.

It goes back in the trailers, stands in every log line and exemplar, and reaches the backends: it is kept in a context
variable, which a worker thread inherits. One of our own: structlog's, one for each field, take 4 µs a call in a tight
loop for 1.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

from structlog.typing import EventDict, WrappedLogger

from explaind.service.grpc_types import Context

METADATA_KEY = "x-request-id"
# Printable ASCII without spaces: it stands in log lines and headers. Anything else is replaced, never refused.
ACCEPTED = re.compile(r"[\x21-\x7e]{1,128}")

_bound: ContextVar[Mapping[str, str]] = ContextVar("explaind_request", default=MappingProxyType({}))


def of(context: Context) -> str:
    for key, value in context.invocation_metadata() or ():
        if key == METADATA_KEY and isinstance(value, str) and ACCEPTED.fullmatch(value):
            return value
    # Not uuid4: the system's random numbers come without the interpreter's lock, which then has to be waited for.
    return f"{random.getrandbits(128):032x}"


def bind(request_id: str, method: str) -> None:
    """For this task and what it starts; an RPC is a task of its own, so nothing has to be unbound."""
    _bound.set(bound(request_id, method))


def bound(request_id: str, method: str) -> dict[str, str]:
    """The fields of a log line that say which RPC it is of."""
    return {"request_id": request_id, "method": method}


def current() -> str:
    """The id of the RPC that this code runs for; empty outside of one."""
    return _bound.get().get("request_id", "")


def merge(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """A processor of structlog: a line says which RPC it is of, unless it does already."""
    for field, value in _bound.get().items():
        event.setdefault(field, value)
    return event
