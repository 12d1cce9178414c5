"""`make bench`: three times what the daemon can serve, arriving at a constant rate, beside its peak in the same run.

Server, generator and probe share the machine's cores, in the overload more of them than at the peak: the ratios are a
lower bound. Nothing here asserts a time.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from explaind.v1 import explanation_pb2, explanation_service_pb2
from tests.benchmarks.daemon import Daemon, HealthProbe
from tests.benchmarks.open_loop import Load, Outcome, generate, percentile

ROOT = Path(__file__).parents[2]
TURNS = int(os.environ.get("BENCH_TURNS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "4"))
TIMES = 3.0

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]

ASKED = {
    "prediction": {},
    "latent ranking": {"latent_ranking": explanation_pb2.LatentRankingParameters()},
    "path mask": {"path_mask": explanation_pb2.PathMaskParameters()},
}


@dataclass(frozen=True)
class Turn:
    peak: Outcome
    over: Outcome
    health: list[float]
    health_failures: int

    @property
    def ratio(self) -> float:
        return self.over.goodput / self.peak.goodput


def request_bytes(asked: str) -> str:
    with np.load(ROOT / "tests/data/images.npz") as data:
        values = data["mnist"][0].tobytes()
    tensor = explanation_pb2.Tensor(shape=(1, 28, 28), dtype=explanation_pb2.DATA_TYPE_UINT8, values=values)
    image = explanation_pb2.Image(tensor=tensor)
    message = explanation_service_pb2.ExplainRequest(model="mnist", image=image, **ASKED[asked])
    return message.SerializeToString().hex()


@pytest.mark.parametrize("asked", ASKED)
def test_three_times_capacity(asked: str) -> None:
    request = request_bytes(asked)
    with Daemon.running() as daemon:
        generate(Load(daemon.address, request, seconds=2))
        before = daemon.resident_mib()
        turns = [one_turn(daemon, request) for _ in range(TURNS)]
        show(asked, turns, f"resident {before:.0f} → {daemon.resident_mib():.0f} MiB")
        assert settled(daemon), "calls that never ended"


def one_turn(daemon: Daemon, request: str) -> Turn:
    peak = generate(Load(daemon.address, request, seconds=SECONDS, concurrency=16))
    assert set(peak.ends) == {"OK"}, f"no peak: refused callers come again at once, {dict(peak.ends)}"
    with HealthProbe(daemon.address) as probe:
        over = generate(Load(daemon.address, request, seconds=SECONDS, rate=TIMES * peak.goodput))
    return Turn(peak, over, probe.seconds, probe.failures)


def settled(daemon: Daemon, seconds: float = 20.0) -> bool:
    """Whether every call that was started has been counted as handled: the generator leaves some to their deadlines."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = daemon.total("grpc_server_started_total", grpc_method="Explain")
        if started == daemon.total("grpc_server_handled_total", grpc_method="Explain"):
            return True
        time.sleep(0.2)
    return False


def show(asked: str, turns: list[Turn], memory: str) -> None:
    table = Table(title=f"{asked}: {TIMES:g}× its peak, {TURNS} turns of {SECONDS:g} s, ms; {memory}")
    headings = ("peak/s", "goodput/s", "ratio", "refused p50", "p99", "ok p50", "p99", "health p99", "max", "late p99")
    for heading in headings:
        table.add_column(heading, justify="right")
    for turn in turns:
        table.add_row(*row(turn))
    middle = float(np.median([turn.ratio for turn in turns]))
    table.caption = f"median ratio {middle:.3f}; ends {dict(sum((turn.over.ends for turn in turns), Counter()))}; " + (
        f"without RetryInfo {sum(turn.over.without_retry_info for turn in turns)}, "
        f"unsent {sum(turn.over.unsent for turn in turns)}, "
        f"health failures {sum(turn.health_failures for turn in turns)}"
    )
    Console(width=140).print(table)


def row(turn: Turn) -> list[str]:
    peak, over = turn.peak, turn.over
    figures = [(over.refused, 50), (over.refused, 99), (over.ok, 50), (over.ok, 99), (turn.health, 99)]
    figures += [(turn.health, 100), (over.late, 99)]
    rates = [f"{peak.goodput:.0f}", f"{over.goodput:.0f}", f"{turn.ratio:.3f}"]
    return rates + [f"{percentile(seconds, q):.1f}" for seconds, q in figures]
