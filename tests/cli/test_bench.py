"""`explaind bench` against a real daemon: what it counts, what it refuses, and that it ends."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from explaind.cli.bench_load import LoadPlan
from explaind.cli.bench_load import run as run_load
from explaind.settings import Settings
from explaind_client import Client
from explaind_client.errors import QueueFull
from tests.cli.conftest import STORE
from tests.served import serving

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def target(address: str) -> str:
    with Client(address) as client:  # which waits while the bundle is loaded
        client.get_model("mnist")
    return address


@pytest.fixture(scope="module")
def crowded() -> Iterator[str]:
    """A daemon that lets hardly anybody wait."""
    with serving(Settings(port=0, metrics_port=0, model_store=STORE, workers=1, queue_size=1)) as server:
        with Client(server.address) as client:
            client.get_model("mnist")
        yield server.address


def plan(**changed: Any) -> LoadPlan:
    given = {"callers": 3, "rate": None, "seconds": 60.0, "most": 7, "warm_up": 1, "timeout": 10.0}
    return LoadPlan(**{**given, **changed})


def test_every_explanation_is_measured(run: Run, target: str) -> None:
    result = run("bench", "--target", target, "--requests", "4", "--warm-up", "1")
    assert result.exit_code == 0, result.stderr
    assert "mnist version 1, 1 at once" in result.stdout
    for name in ("prediction", "latent_ranking", "anomaly_score", "path_mask", "all"):
        (line,) = [line for line in result.stdout.splitlines() if f"│ {name} " in line]
        assert line.split("│")[2].strip() == "4" and line.split("│")[8].strip() == "0"
        assert f"{name}: 5 s" in result.stderr


def test_json_holds_the_figures(run: Run, target: str, digit: Path) -> None:
    arguments = ("--explanation", "anomaly_score", "--concurrency", 4, "--requests", 20, "--image", digit)
    result = run("bench", "--target", target, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert (told["target"], told["model"], told["concurrency"], told["rate"]) == (target, "mnist", 4, None)
    found = told["explanations"]["anomaly_score"]
    assert found["answered"] == 20 and found["not_answered"] == {}
    assert 0 < found["median_ms"] <= found["p95_ms"] <= found["p99_ms"] <= found["most_ms"]
    assert found["answers_per_second"] > 0


def test_a_constant_rate_sends_what_is_due(run: Run, target: str) -> None:
    arguments = ("--explanation", "prediction", "--rate", 50, "--duration", 0.5)
    result = run("bench", "--target", target, *arguments, "--json")
    assert result.exit_code == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["rate"] == 50 and told["concurrency"] is None
    assert told["explanations"]["prediction"]["answered"] == 25


def test_refusals_are_counted_by_their_reason(run: Run, crowded: str) -> None:
    arguments = ("--explanation", "path_mask", "--rate", 500, "--duration", 0.2, "--timeout", 60)
    result = run("bench", "--target", crowded, *arguments, "--json")
    found = json.loads(result.stdout)["explanations"]["path_mask"]
    assert set(found["not_answered"]) == {"QUEUE_FULL"} and found["answered"] > 0
    assert found["answered"] + found["not_answered"]["QUEUE_FULL"] == 100
    table = run("bench", "--target", crowded, *arguments)
    assert "QUEUE_FULL" in table.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--model", "moon"), "moon"),
        (("--version", "99"), "99"),
        (("--timeout", "0.01", "--explanation", "path_mask"), ""),
    ],
)
def test_what_cannot_be_measured_is_said(run: Run, target: str, arguments: tuple[str, ...], said: str) -> None:
    result = run("bench", "--target", target, "--requests", "1", *arguments)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("explaind: ") and said in result.stderr
    assert "Traceback" not in result.stderr


def test_an_image_the_model_cannot_take_is_said(run: Run, target: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    result = run("bench", "--target", target, "--image", broken, "--explanation", "prediction")
    assert result.exit_code == 1 and "explaind: " in result.stderr and "Traceback" not in result.stderr


def test_nobody_at_the_target_is_said(run: Run) -> None:
    result = run("bench", "--target", "127.0.0.1:1", "--requests", "1")
    assert result.exit_code == 1 and "No explaind answers at 127.0.0.1:1" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--target", "127.0.0.1:1", "--concurrency", "0"),
        ("--target", "127.0.0.1:1", "--concurrency", "2", "--rate", "5"),
        ("--target", "127.0.0.1:1", "--rate", "0"),
        ("--target", "127.0.0.1:1", "--duration", "0"),
        ("--target", "127.0.0.1:1", "--requests", "0"),
        ("--target", "127.0.0.1:1", "--explanation", "moon"),
        ("--target", "127.0.0.1:1", "--image", "nowhere.png"),
    ],
)
def test_wrong_usage_is_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run("bench", *arguments).exit_code == 2


def test_no_more_calls_than_asked_for_and_no_more_at_once() -> None:
    running = most = calls = 0

    async def call() -> None:
        nonlocal running, most, calls
        running, calls = running + 1, calls + 1
        most = max(most, running)
        await asyncio.sleep(0.001)
        running -= 1

    measured = asyncio.run(run_load(call, plan()))
    assert len(measured.seconds) == 7 and calls == 8 and most == 3 and running == 0


@pytest.mark.parametrize("rate", [None, 1000.0])
def test_what_fails_later_is_counted(rate: float | None) -> None:
    calls = 0

    async def call() -> None:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise QueueFull("full", reason="QUEUE_FULL")

    measured = asyncio.run(run_load(call, plan(rate=rate)))
    assert len(measured.seconds) == 3 and measured.failures == {"QUEUE_FULL": 4} and measured.elapsed > 0


def test_what_fails_at_once_is_raised() -> None:
    async def call() -> None:
        raise QueueFull("full")

    with pytest.raises(QueueFull):
        asyncio.run(run_load(call, plan()))
