"""Callers who cancel, or whose process is gone: their work ends within one step of the solver, and nothing is left."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import numpy as np
import pytest

from explaind.explanations.budget import Budget
from explaind.explanations.mask_objective import MaskObjective, MaskState
from explaind.explanations.types import DoubleArray
from explaind.service.server import Server
from explaind.settings import Settings
from explaind.v1 import explanation_pb2, explanation_service_pb2, explanation_service_pb2_grpc
from tests.demo_store import STORE

pytestmark = pytest.mark.asyncio

ROOT = Path(__file__).parents[2]
REFERENCE = explanation_pb2.PathMaskParameters(solver=explanation_pb2.SOLVER_REFERENCE)
CALLERS = 3
Until = Callable[..., Awaitable[None]]


class Steps:
    """Steps that solvers have finished, and how many there were when each budget was cancelled."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done = 0
        self.at_cancellation: list[int] = []
        self._lock = threading.Lock()
        evaluate, cancel = MaskObjective.evaluate, Budget.cancel

        def counted(objective: MaskObjective, mask: DoubleArray) -> MaskState:
            state = evaluate(objective, mask)
            with self._lock:
                self.done += 1
            return state

        def noted(budget: Budget) -> None:
            cancel(budget)
            with self._lock:
                self.at_cancellation.append(self.done)

        monkeypatch.setattr(MaskObjective, "evaluate", counted)
        monkeypatch.setattr(Budget, "cancel", noted)


def request() -> explanation_service_pb2.ExplainRequest:
    with np.load(ROOT / "tests/data/images.npz") as data:
        values = data["mnist"][0].tobytes()
    tensor = explanation_pb2.Tensor(shape=(1, 28, 28), dtype=explanation_pb2.DATA_TYPE_UINT8, values=values)
    return explanation_service_pb2.ExplainRequest(
        model="mnist", image=explanation_pb2.Image(tensor=tensor), path_mask=REFERENCE
    )


def lane(server: Server, name: str) -> float:
    return server.metrics.registry.get_sample_value(f"explaind_{name}", {"cost_class": "reference"}) or 0.0


def idle(server: Server) -> bool:
    return lane(server, "inflight_requests") == lane(server, "queue_depth") == server.active_calls == 0


async def test_cancelling_callers_stop_the_solver_at_its_next_step(
    until: Until, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server(Settings(port=0, metrics_port=0, model_store=STORE, reference_workers=CALLERS))
    await server.start()
    async with grpc.aio.insecure_channel(server.address) as channel:
        stub = explanation_service_pb2_grpc.ExplanationServiceStub(channel)
        await until(lambda: server.serving, 60)
        steps = Steps(monkeypatch)
        calls = [stub.Explain(request()) for _ in range(CALLERS)]
        await until(lambda: lane(server, "inflight_requests") == CALLERS and steps.done > 10 * CALLERS, 60)
        for call in calls:
            call.cancel()
        await until(lambda: idle(server), 60)
        assert len(steps.at_cancellation) == CALLERS
        assert steps.done <= steps.at_cancellation[-1] + CALLERS  # the step that each was in
    await server.stop(grace_seconds=1.0)


VANISHING = """
import sys, time, grpc
channel = grpc.insecure_channel(sys.argv[1])
method = channel.unary_unary("/explaind.v1.ExplanationService/Explain")
calls = [method.future(bytes.fromhex(sys.argv[2])) for _ in range(int(sys.argv[3]))]
time.sleep(600)
"""


async def test_a_killed_process_leaves_no_work_behind(until: Until, monkeypatch: pytest.MonkeyPatch) -> None:
    server = Server(Settings(port=0, metrics_port=0, model_store=STORE, reference_workers=1))
    await server.start()
    await until(lambda: server.serving, 60)
    steps = Steps(monkeypatch)
    arguments = [server.address, request().SerializeToString().hex(), str(CALLERS)]
    caller = subprocess.Popen([sys.executable, "-c", VANISHING, *arguments])
    try:
        await until(lambda: lane(server, "queue_depth") == CALLERS - 1 and steps.done > 10, 60)
    finally:
        caller.kill()
        caller.wait()
    await until(lambda: idle(server), 60)
    assert len(steps.at_cancellation) == 1  # the others left the queue and never began
    assert steps.done <= steps.at_cancellation[-1] + 1
    await server.stop(grace_seconds=1.0)
