"""The same lines as structlog's renderer for people, without colours."""

from __future__ import annotations

from typing import Any

import pytest
import structlog

from explaind.service.log_lines import PlainLines

WHOLE = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
LINE = {"timestamp": "2026-01-02T03:04:05.678901Z", "level": "info", "event": "rpc"}


def _failed() -> Exception:
    try:
        raise ValueError("from below")
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"level": "critical"},
        {"level": "warning", "event": "an event that is longer than its column is wide"},
        {"code": "OK", "seconds": 0.000012, "request_id": "a" * 32, "method": "explaind.v1.ExplanationService/Explain"},
        {"b": 1, "a": None, "empty": "", "list": [1, "two"], "flag": True},
        {"spaces": "two words", "quotes": "it's", "equals": "a=b", "lines": "a\nb", "tab": "a\tb", "unicode": "μ σ"},
        {"logger": "grpc._cython", "number": 2},
        {"stack": "Stack (most recent call last):", "number": 2},
        {"exception": "Traceback", "number": 2},
        {"exc_info": _failed(), "number": 2},
    ],
)
def test_every_line_is_the_same(fields: dict[str, Any]) -> None:
    assert PlainLines(WHOLE)(None, "info", LINE | fields) == WHOLE(None, "info", LINE | fields)
