"""Log lines to standard error, each with the request id bound to it.

explaind's own come through structlog straight to the stream: through the standard library's machinery a line costs
as much as a small answer. Lines of libraries, which use that machinery, look the same.
"""

from __future__ import annotations

import logging
import sys
from typing import TextIO, cast

import structlog
from structlog.typing import Processor

from explaind.errors import ConfigurationError
from explaind.service import request_ids
from explaind.service.log_lines import PlainLines
from explaind.settings import Settings

# First in every line, in this order; then the bound request id and what the line itself says.
SHARED: tuple[Processor, ...] = (
    request_ids.merge,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)


def configure(settings: Settings) -> None:
    """For a whole process; readable lines, or one JSON object a line. Raises ConfigurationError for a level that
    there is not."""
    level = _level(settings.log_level)
    structlog.configure(
        processors=[*SHARED, *_rendering(settings)],
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _StandardError())),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *SHARED],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(settings)],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)


class _StandardError:
    """Standard error as it is when a line is written: loggers are cached, and whoever embeds us may replace it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def _level(name: str) -> int:
    levels = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
    if name.lower() not in levels:
        raise ConfigurationError(f"The log level is {name!r}; choose {', '.join(levels)}.")
    return levels[name.lower()]


def _rendering(settings: Settings) -> list[Processor]:
    """Tracebacks without local variables: those may hold a caller's image."""
    if settings.log_json:
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    plain = structlog.dev.plain_traceback
    renderer = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
    return [renderer if sys.stderr.isatty() else PlainLines(renderer)]
