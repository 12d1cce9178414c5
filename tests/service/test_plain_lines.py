"""The plain lines against structlog's own renderer, whose words they are."""

import pytest
import structlog
from structlog.dev import ConsoleRenderer, plain_traceback

from explaind.service.plain_lines import PlainLines

STAMPED = {"timestamp": "2026-11-27T03:45:08.123456Z", "level": "info"}
VALUES = ["", "plain", "two words", "a=b", "it's", 'so "called"', "tab\there", "line\nbreak", "return\r", "naïve ☃"]
VALUES += [0, -1.5, 1e-07, float("nan"), None, True, b"bytes", ["a", 1], {"k": "v"}]
FRONTS = [
    {"event": "rpc"},
    STAMPED | {"event": "rpc"},
    STAMPED | {"event": "an event that is longer than its column is wide", "logger": "other.library"},
    STAMPED | {"event": "", "level": "exception", "logger_name": "a"},
    {"event": 7, "level": "critical", "logger": "a", "logger_name": "b"},
]


def of_structlog(event):
    return ConsoleRenderer(colors=False, exception_formatter=plain_traceback)(None, "info", dict(event))


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("value", VALUES)
def test_every_line_is_that_of_structlog(front, value):
    line = front | {"seconds": value, "request_id": "mine-4", "Code": value}
    assert PlainLines()(None, "info", dict(line)) == of_structlog(line)


def test_so_is_one_without_fields():
    assert PlainLines()(None, "info", {"event": "stopped"}) == of_structlog({"event": "stopped"}) == "stopped"


@pytest.mark.parametrize("how", ["exc_info", "exception", "stack"])
def test_so_is_one_with_a_traceback(how):
    try:
        raise ValueError("of a kind")
    except ValueError as error:
        line = STAMPED | {"event": "failed", "model": "m n", how: error if how == "exc_info" else "Trace:\n of a kind"}
        told = PlainLines()(None, "error", dict(line))
        assert told == of_structlog(line)
    assert "of a kind" in told


def test_what_comes_before_leaves_nothing_that_is_written_otherwise():
    line = structlog.processors.TimeStamper(fmt="iso", utc=True)(None, "info", {"event": "rpc", "code": "OK"})
    assert PlainLines()(None, "info", dict(line)) == of_structlog(line)
