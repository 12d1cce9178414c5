"""Every explanation by every way to it: one set of turns for all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import TIMING, Part
from tests.benchmarks.subjects.asked import ALL, ANOMALY, ASKED, BOTH, DIGITS, MASK, PREDICTION, RANKING
from tests.benchmarks.subjects.over_grpc import CLIENT
from tests.benchmarks.turns import Key, Subject, Timed, in_turns
from tests.benchmarks.worker import Worker

IN_PROCESS, GRPC, BARE, ECHO = "in process", "gRPC", "bare sessions", "gRPC echo"
ALONE = "in process, one thread"
TORCH, TORCHSERVE = "torch", "torchserve"
BATCHES = (1, 8, 64)
BACKEND_NAMES = (PREDICTION, RANKING, ANOMALY, MASK, ALL)
_COMPARED = {call: place for place, call in enumerate((PREDICTION, RANKING, BOTH, ANOMALY, MASK, ALL))}
_BESIDE = {BARE: ALONE}
"""In whose place in a turn the calls of an arm stand, among its own."""
_SUBJECTS = "tests.benchmarks.subjects"


def measure(effort: Effort) -> list[Part]:
    with ExitStack() as stack:
        arms = _arms(effort, stack)
        timed = in_turns(
            _subjects(arms),
            turns=effort.turns,
            block_seconds=effort.block_seconds,
            round_calls=DIGITS,
            told=effort.told,
        )
        return [
            _explanations(timed, arms[BARE].facts),
            _backends(timed),
            _batches(timed),
        ]


def _arms(effort: Effort, stack: ExitStack) -> dict[str, Worker]:
    store = str(effort.store)

    def worker(build: str, **options: object) -> Worker:
        effort.told(f"starting {build} {options.get('backend', '')}")
        return stack.enter_context(Worker(f"{_SUBJECTS}.{build}", **options))

    daemon = stack.enter_context(Daemon.running(model_store=store))
    served = worker("over_grpc:explaining", address=daemon.address, pid=daemon.pid, batches=BATCHES)
    return {
        IN_PROCESS: worker("in_process:explaining", store=store, batches=BATCHES),
        GRPC: served,
        ALONE: worker("in_process:explaining", store=store, one_thread=True),
        BARE: worker("bare_sessions:replaying", store=store),
        ECHO: worker("echo:echoing", sizes={name: served.facts[name] for name in (PREDICTION, BOTH, ALL)}),
        TORCH: worker("in_process:explaining", store=store, backend="torch", names=BACKEND_NAMES),
        TORCHSERVE: worker("in_process:explaining", store=store, backend="torchserve", names=BACKEND_NAMES),
    }


def _subjects(arms: Mapping[str, Worker]) -> dict[Key, Subject]:
    """In the order of a turn. What the issue compares stands side by side: a machine that others share is as fast as it
    was for a few seconds only."""
    places = {how: place for place, how in enumerate(arms)}

    def place(key: Key) -> tuple[int, int]:
        call, how = key
        return places[_BESIDE.get(how, how)], _COMPARED.get(call, len(_COMPARED))

    keys = sorted(((call, how) for how, arm in arms.items() for call in arm.calls), key=place)
    return {(call, how): arms[how].subject(call) for call, how in keys}


def _explanations(timed: Mapping[Key, Timed], facts: Mapping[str, Mapping[str, float]]) -> Part:
    rows = [
        timed[name, how].row(name, how)
        for name in ASKED
        for how in (IN_PROCESS, ALONE, GRPC, BARE, ECHO)
        if (name, how) in timed
    ]
    rows.append(timed[CLIENT + PREDICTION, GRPC].row(PREDICTION, "gRPC, Python client"))
    for row in rows:
        if row["how"] == BARE:
            row |= facts[row["what"]]
    return Part(
        name="explanations",
        title="One digit: each explanation, in process, over gRPC, and the two limits",
        rows=rows,
        columns=(*TIMING, "session_calls", "rows"),
        notes=(
            "Bare sessions: exactly the onnxruntime calls of the explanation, on recorded inputs, one after the other "
            "on one thread, and nothing else. One thread: no call is spread over idle cores.",
            "gRPC echo: a server that answers as many bytes to as many bytes and computes nothing.",
            "CPU and memory are of the process that answers: the engine's, the daemon's, the echo server's.",
        ),
    )


def _backends(timed: Mapping[Key, Timed]) -> Part:
    names = {IN_PROCESS: "onnx", TORCH: "torch", TORCHSERVE: "torchserve"}
    rows = [timed[name, how].row(name, label) for name in BACKEND_NAMES for how, label in names.items()]
    return Part(
        name="backends",
        title="One digit by each backend, in process",
        rows=rows,
        notes=("torchserve: CPU and memory of the caller, Java and both workers.",),
    )


def _batches(timed: Mapping[Key, Timed]) -> Part:
    rows = [timed[f"score {size}", how].row(f"batch of {size}", how) for size in BATCHES for how in (IN_PROCESS, GRPC)]
    return Part(
        name="batches",
        title="Prediction and anomaly score of many digits in one message (ScoreAnomalies)",
        rows=rows,
        notes=("Times are of a whole message, CPU of one image.",),
    )
