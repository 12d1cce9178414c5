"""Gradient evaluations a second through a service, where an answer is made of nothing else: ours and TorchServe's.

A FAST path mask is mostly other work, since it avoids gradients. The source's own solver is nearly all gradients, as
TorchServe's integrated gradients are, so the two say what each service makes of them.
"""

from __future__ import annotations

import time

import grpc
import numpy as np

from explaind.explanations.path_mask_reference_solver import STEPS
from explaind.v1 import explanation_pb2 as pb
from explaind.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from tests.benchmarks import processes
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.parts.peers import AT_ONCE, ATTRIBUTION, ONE_WORKER, PEER, PEER_STEPS, at_once
from tests.benchmarks.results import Part, Row
from tests.benchmarks.subjects.asked import MASK, digits, message
from tests.benchmarks.subjects.in_process import ONE_THREAD
from tests.benchmarks.turns import Block
from tests.benchmarks.worker import Worker

NAME = "gradients"
SOURCES = "path mask by the source's solver"
PEER_CALLS = 100
LONGEST_SECONDS = 600.0


def measure(effort: Effort) -> list[Part]:
    ours: list[tuple[int, Block]] = []
    peer: list[Block] = []
    with (
        Daemon.running(model_store=str(effort.store), workers=1, slow_workers=1, **ONE_THREAD) as daemon,
        grpc.insecure_channel(daemon.address) as channel,
        Worker("tests.benchmarks.subjects.torchserve_explain:explaining", store=str(effort.store)) as served,
    ):
        stub = ExplanationServiceStub(channel)
        served.block("explain", 0, PEER_CALLS // 4, AT_ONCE)
        for turn in range(effort.turns):
            effort.told(f"gradients: turn {turn + 1} of {effort.turns}")
            peer.append(served.block("explain", 0, PEER_CALLS, AT_ONCE))
            ours.append(_mask(stub, daemon.pid, turn))
    rows = [_row(SOURCES, ONE_WORKER, ours), _row(ATTRIBUTION, at_once(PEER), _counted(peer))]
    return [
        Part(
            name=NAME,
            title="Gradient evaluations a second through the service",
            rows=rows,
            columns=("what", "how", "gradients", "gradients_per_second", "cpu_us_per_gradient"),
            notes=(
                "In turns, one worker and one thread each; TorchServe at its best, with eight callers. Gradients: of "
                "one answer, in the median. Ours: one for each step of the morph, and one for each of the path's 99 "
                f"steps in each of the mask's {STEPS} steps and at its start.",
            ),
        )
    ]


def _mask(stub: ExplanationServiceStub, pid: int, digit: int) -> tuple[int, Block]:
    """One explanation by the source's solver → the gradients it took, and its time."""
    request = message(MASK, digits()[digit])
    request.path_mask.solver = pb.SOLVER_REFERENCE
    began, cpu = time.perf_counter(), processes.cpu_seconds((pid,))
    answer = stub.Explain(request, timeout=LONGEST_SECONDS).path_mask
    wall = time.perf_counter() - began
    steps = len(answer.entropies) - 1
    block = Block([wall], 1, wall, processes.cpu_seconds((pid,)) - cpu, 0.0)
    return answer.morph_steps + 1 + (STEPS + 1) * steps, block


def _counted(blocks: list[Block]) -> list[tuple[int, Block]]:
    return [(PEER_STEPS, block) for block in blocks]


def _row(what: str, how: str, turns: list[tuple[int, Block]]) -> Row:
    """turns: the gradients of one answer, and the answers of a turn."""
    rates = [count * block.items / block.wall for count, block in turns]
    total = sum(count * block.items for count, block in turns)
    return {
        "what": what,
        "how": how,
        "gradients": float(np.median([count for count, _ in turns])),
        "gradients_per_second": float(np.median(rates)),
        "cpu_us_per_gradient": 1e6 * sum(block.cpu for _, block in turns) / total,
    }
