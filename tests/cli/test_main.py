from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from explaind import __version__
from explaind.cli.main import EXAMPLES

COMMANDS = ("demo", "explain", "serve", "models", "batch", "train", "label", "evaluate")
HEAVY = ("numpy", "grpc", "torch", "onnxruntime", "matplotlib", "pyarrow", "PIL", "pydantic", "explaind.engine")
Run = Callable[..., Any]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: explaind {command}" in result.output


def test_every_command_is_known() -> None:
    assert {command.__name__ for command in EXAMPLES} == set(COMMANDS)


def test_version(run: Run) -> None:
    assert run("--version").output.strip() == __version__


@pytest.mark.parametrize(
    "arguments", [["fly"], ["explain"], ["explain", "nowhere.png"], ["models", "--sideways"], ["batch", "only_one"]]
)
def test_wrong_usage_is_2(run: Run, arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2


def test_failure_is_1_and_one_sentence(run: Run) -> None:
    result = run("models", "--model-store", "/nowhere/at/all")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.fullmatch(r"explaind: .*/nowhere/at/all.*--model-store\.\n", result.stderr)


def test_setting_that_cannot_be_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "--port (or EXPLAIND_PORT) is -4" in run("serve", "--port", "-4").stderr
    monkeypatch.setenv("EXPLAIND_WORKERS", "many")
    result = run("models")
    assert result.exit_code == 1
    assert "EXPLAIND_WORKERS" in result.stderr and "Traceback" not in result.stderr


def test_help_loads_nothing_heavy() -> None:
    code = f"import sys, explaind.cli.main; print([m for m in {HEAVY!r} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("torch", ["train", "model_store/mnist"], "train"),
        ("matplotlib", ["demo"], "server"),
        ("onnxruntime", ["models"], "server"),
    ],
)
def test_missing_extra_is_named(missing: str, arguments: list[str], extra: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; from explaind.cli.main import app; app({arguments!r})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert "pip install" in result.stderr and f"explaind[{extra}]" in result.stderr and "Traceback" not in result.stderr
