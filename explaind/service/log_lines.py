"""The readable line of an event, as structlog's own renderer for people writes it without colours.

That one is made for a terminal and takes a twentieth of a prediction; a line for each request goes to a file.
"""

from __future__ import annotations

from structlog.typing import EventDict, Processor, ProcessorReturnValue, WrappedLogger

_LEVEL_WIDTH, _EVENT_WIDTH = 9, 30
_UNUSUAL = frozenset(("exc_info", "exception", "stack", "logger", "logger_name"))
_QUOTED = frozenset(" \t=\r\n\"'")


class PlainLines:
    """A processor of structlog. whole: renders what is not a plain event: tracebacks, lines of libraries."""

    def __init__(self, whole: Processor) -> None:
        self._whole = whole

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> ProcessorReturnValue:
        if not _UNUSUAL.isdisjoint(event):
            return self._whole(logger, name, event)
        timestamp, level, said = event.pop("timestamp"), event.pop("level"), event.pop("event")
        fields = "".join(f" {key}={_shown(event[key])}" for key in sorted(event))
        return f"{timestamp} [{level:{_LEVEL_WIDTH}}] {said:{_EVENT_WIDTH}}{fields}".rstrip(" ")


def _shown(value: object) -> str:
    return value if isinstance(value, str) and _QUOTED.isdisjoint(value) else repr(value)
