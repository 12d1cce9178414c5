"""Log lines, in a process of their own: configuring is for a whole process."""

import json
import subprocess
import sys

import pytest

from explaind.errors import ConfigurationError
from explaind.service.logging import configure
from explaind.settings import Settings

SCRIPT = """
import logging
import structlog
from explaind.service import request_ids
from explaind.service.logging import configure
from explaind.settings import Settings

configure(Settings(log_json={json}, log_level="{level}"))
request_ids.bind("mine-4", "a.Service/Method")
structlog.get_logger("explaind.a").info("ours", number=1)
logging.getLogger("other").warning("theirs %d", 2)
pixels = "image-bytes-that-must-not-show"
try:
    1 / 0
except ZeroDivisionError:
    structlog.get_logger("explaind.a").exception("failed")
"""


def lines(**settings):
    script = SCRIPT.format(**settings)
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stderr


TWO_REQUESTS = """
import structlog
from explaind.service import request_ids
from explaind.service.logging import configure
from explaind.settings import Settings

configure(Settings(log_json=True))
request_ids.bind("bound-1", "a.Service/Method")
structlog.get_logger().info("first")
structlog.get_logger().info("second", request_id="said-2")
request_ids.bind("bound-3", "a.Service/Other")
structlog.get_logger().info("third")
"""


def test_a_line_may_say_another_request_itself():
    run = subprocess.run([sys.executable, "-c", TWO_REQUESTS], capture_output=True, text=True, check=True)
    told = [json.loads(line) for line in run.stderr.splitlines()]
    assert [line["request_id"] for line in told] == ["bound-1", "said-2", "bound-3"]
    assert [line["method"] for line in told] == ["a.Service/Method"] * 2 + ["a.Service/Other"]


def test_json_lines_of_both_loggers_carry_the_request_id():
    ours, theirs, failed = map(json.loads, lines(json=True, level="info").splitlines())
    assert (ours["event"], ours["number"], ours["level"]) == ("ours", 1, "info")
    assert (theirs["event"], theirs["logger"]) == ("theirs 2", "other")
    assert {line["request_id"] for line in (ours, theirs, failed)} == {"mine-4"}
    assert "ZeroDivisionError" in failed["exception"]


@pytest.mark.parametrize("as_json", [True, False])
def test_tracebacks_show_no_local_variables(as_json):
    text = lines(json=as_json, level="info")
    assert "ZeroDivisionError" in text
    assert "image-bytes" not in text


def test_the_level_is_obeyed():
    text = lines(json=True, level="warning")
    assert '"ours"' not in text
    assert "theirs" in text


def test_a_level_there_is_not_is_one_clear_sentence():
    with pytest.raises(ConfigurationError, match="debug, info, warning, error"):
        configure(Settings(log_level="loud"))
