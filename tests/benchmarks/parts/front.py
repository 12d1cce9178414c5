"""What a request costs besides its mathematics: everything that the daemon and the transport add, beside an echo.

Echoes and explanations alternate. A processor that has slept for some milliseconds takes up to three times as long over
the same work as one in a tight loop, so a loop of echoes, or of explanations in process, would be no measure.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import grpc
import numpy as np

from explaind.v1.explanation_service_pb2 import ExplainResponse
from explaind.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Part, Row
from tests.benchmarks.subjects import asked
from tests.benchmarks.subjects.echo import echoing
from tests.benchmarks.subjects.over_grpc import sizes
from tests.benchmarks.worker import Call

NAME = "front"
NAMES = (asked.PREDICTION, asked.ANOMALY, asked.BOTH, asked.MASK, asked.ALL)
WARM_UP = 5
ROUNDS_A_TURN, ROUNDS_OF_MASKS = 40, 8
Explain = Callable[[int], ExplainResponse]


def measure(effort: Effort) -> list[Part]:
    with (
        Daemon.running(model_store=str(effort.store)) as daemon,
        grpc.insecure_channel(daemon.address) as channel,
        echoing(sizes(ExplanationServiceStub(channel))) as echo,
    ):
        stub = ExplanationServiceStub(channel)
        rows = [_row(name, _explain(stub, name), echo.calls[name], effort.turns) for name in NAMES]
    return [
        Part(
            name=NAME,
            title="What a request costs besides its mathematics",
            rows=rows,
            columns=("what", "rpc_ms", "mathematics_ms", "besides_ms", "echo_ms", "echoes"),
            notes=(
                "Medians. Mathematics: the stages that the answer itself tells of, timed around the engine's work.",
                "Echo: as many bytes to as many, by a server that does nothing, each just before the explanation. "
                "The last column is what the call takes besides its mathematics, transport included, in echoes.",
            ),
        )
    ]


def _explain(stub: ExplanationServiceStub, name: str) -> Explain:
    messages = [asked.message(name, image) for image in asked.digits()]
    return lambda number: stub.Explain(messages[number % len(messages)], timeout=120)


def _row(name: str, explain: Explain, echo: Call, turns: int) -> Row:
    count = turns * (ROUNDS_OF_MASKS if asked.MASK in asked.ASKED[name] else ROUNDS_A_TURN)
    figures = np.array([_round(explain, echo, number) for number in range(-WARM_UP, count)])[WARM_UP:]
    calls, inside, echoes = figures.T
    besides, bare = float(np.median(calls - inside)), float(np.median(echoes))
    return {
        "what": name,
        "how": "",
        "rpc_ms": float(np.median(calls)),
        "mathematics_ms": float(np.median(inside)),
        "besides_ms": besides,
        "echo_ms": bare,
        "echoes": besides / bare,
    }


def _round(explain: Explain, echo: Call, number: int) -> tuple[float, float, float]:
    """Milliseconds of the call, of the stages in it, and of an echo just before it."""
    began = time.perf_counter()
    echo(number)
    between = time.perf_counter()
    answer = explain(number)
    ended = time.perf_counter()
    inside = sum(timing.seconds for timing in answer.provenance.timings)
    return 1e3 * (ended - between), 1e3 * inside, 1e3 * (between - began)
