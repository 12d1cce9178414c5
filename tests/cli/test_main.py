from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from explaind import __version__
from explaind.cli.main import EXAMPLES, app
from explaind.settings import Settings

COMMANDS = (
    "demo",
    "explain",
    "compare",
    "traverse",
    "serve",
    "models",
    "batch",
    "train",
    "label",
    "evaluate",
    "new",
    "bench",
)
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


@pytest.mark.parametrize(
    ("command", "option", "value"),
    [
        ("serve", "--port", "99999999"),
        ("serve", "--metrics-port", "-1"),
        ("serve", "--workers", "0"),
        ("explain", "--self-class", "99999999999999"),
        ("explain", "--other-class", "-99999999999999"),
        ("explain", "--seed", "-1"),
        ("explain", "--method", "moon"),
    ],
)
def test_option_out_of_range_is_wrong_usage(run: Run, digit: Path, command: str, option: str, value: str) -> None:
    arguments = [digit] if command == "explain" else []
    result = run(command, *arguments, f"{option}={value}")
    assert result.exit_code == 2
    assert option in result.stderr and "Traceback" not in result.stderr


def test_failure_is_1_and_one_sentence(run: Run) -> None:
    result = run("models", "--model-store", "/nowhere/at/all")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert re.fullmatch(r"explaind: .*/nowhere/at/all.*--model-store\.\n", result.stderr)


def test_setting_that_cannot_be_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("EXPLAIND_WORKERS", "many"), ("EXPLAIND_PORT", "99999999"), ("EXPLAIND_BACKENDS", "onnx")):
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            result = run("models")
        assert result.exit_code == 1
        assert re.fullmatch(rf"explaind: {name} .*\n", result.stderr)


def test_help_of_serve_lists_every_setting_and_shows_the_defaults_there_are(run: Run) -> None:
    printed = run("serve", "--help").output
    assert all(f"EXPLAIND_{name.upper()}=" in printed for name in Settings.model_fields)
    command: Any = get_command(app)
    settings = {"backend": "backends"}
    for option in command.commands["serve"].params:
        field = Settings.model_fields.get(settings.get(option.name, option.name))
        if field is not None:
            assert option.show_default == _shown(field.default), option.name


def _shown(default: object) -> str:
    if isinstance(default, tuple):
        return ", ".join(default)
    return "no" if default is False else str(default)


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


@pytest.mark.parametrize("arguments", [[], ["--help"], ["explain", "digit.png"]])
def test_bare_install_says_what_the_command_line_needs(arguments: list[str]) -> None:
    code = "import sys; sys.modules['typer'] = None; from explaind.cli.entry import main; main()"
    result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr == (
        'explaind: The command line needs typer; install it with: pip install "explaind[server]"\n'
    )


def test_package_missing_behind_the_settings_is_named() -> None:
    code = "import sys; sys.modules['pydantic_settings'] = None; from explaind.cli.entry import main; main()"
    result = subprocess.run([sys.executable, "-c", code, "train", "."], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "explaind[server]" in result.stderr and "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("variable", "own", "chosen"),
    [("OPENBLAS_NUM_THREADS", "1", "3"), ("GRPC_EXPERIMENTS", "-event_engine_listener", "event_engine_fork")],
)
@pytest.mark.parametrize("command", ["serve", "train"])
def test_a_daemon_has_settings_of_its_libraries_and_other_commands_have_not(
    command: str, variable: str, own: str, chosen: str
) -> None:
    """Said before NumPy and gRPC are there to read it; a caller's own choice stands."""
    code = (
        f"import os, sys; sys.argv = ['explaind', {command!r}, '--help']\n"
        "from explaind.cli.entry import main\n"
        "early = 'numpy' not in sys.modules and 'grpc' not in sys.modules\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        f"print('told', early, os.environ.get({variable!r}))"
    )
    for given, expected in ((None, own if command == "serve" else None), (chosen, chosen)):
        environment = {name: value for name, value in os.environ.items() if name != variable}
        environment |= {variable: given} if given else {}
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
        assert ran.stdout.splitlines()[-1] == f"told True {expected}"


def test_grpc_knows_the_setting_that_a_daemon_gives_it() -> None:
    """One that it does not know it complains of, between our log lines."""
    code = (
        "import asyncio\n"
        "from explaind.cli import entry\n"
        "entry.set_up_libraries()\n"
        "from grpc import aio\n"
        "async def serve():\n"
        "    server = aio.server()\n"
        "    server.add_insecure_port('127.0.0.1:0')\n"
        "    await server.start()\n"
        "    await server.stop(0)\n"
        "asyncio.run(serve())"
    )
    environment = {name: value for name, value in os.environ.items() if name != "GRPC_EXPERIMENTS"}
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert ran.stderr == ""
