"""Every explanation by every way to it, and what others offer beside it: one set of turns for all."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import TIMING, Part, Row
from tests.benchmarks.subjects.asked import ALL, ANOMALY, ASKED, BOTH, DIGITS, MASK, PREDICTION, RANKING, SCORED
from tests.benchmarks.subjects.in_process import ONE_THREAD
from tests.benchmarks.subjects.over_grpc import CLIENT
from tests.benchmarks.turns import Key, Subject, Timed, in_turns
from tests.benchmarks.worker import Worker

IN_PROCESS, GRPC, BARE, ECHO = "in process", "gRPC", "bare sessions", "gRPC echo"
ALONE, ONE_WORKER = "in process, one thread", "gRPC, one worker and thread"
STUB = f"{ONE_WORKER}, Python stub"
TORCH, TORCHSERVE = "torch", "torchserve"
PEER, PEER_TRANSPORT, IN_TORCH = "TorchServe + Captum", "TorchServe, prediction only", "Captum in process"
AT_ONCE = 8
BATCHES = (1, 8, 64)
PEER_STEPS = 50
BACKEND_NAMES = (PREDICTION, RANKING, ANOMALY, MASK, ALL)
EXPLAIN = "explain"
"""TorchServe's, for an attribution."""
_COMPARED = {call: place for place, call in enumerate((PREDICTION, RANKING, BOTH, ANOMALY, MASK, EXPLAIN, ALL))}
_BESIDE = {BARE: ALONE, PEER: ONE_WORKER, STUB: ONE_WORKER}
"""In whose place in a turn the calls of an arm stand, among its own."""
_SUBJECTS = "tests.benchmarks.subjects"


def measure(effort: Effort) -> list[Part]:
    with ExitStack() as stack:
        arms = _arms(effort, stack)
        gradient_rows = round(arms[BARE].facts[MASK]["gradient_rows"])
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
            _peers(timed, gradient_rows),
        ]


def _arms(effort: Effort, stack: ExitStack) -> dict[str, Worker]:
    store = str(effort.store)

    def worker(build: str, **options: object) -> Worker:
        effort.told(f"starting {build} {options.get('backend', '')}")
        return stack.enter_context(Worker(f"{_SUBJECTS}.{build}", **options))

    daemon = stack.enter_context(Daemon.running(model_store=store))
    single = stack.enter_context(Daemon.running(model_store=store, workers=1, slow_workers=1, **ONE_THREAD))
    at_single = {"address": single.address, "pid": single.pid, "names": (ANOMALY, MASK, ALL)}
    served = worker("over_grpc:explaining", address=daemon.address, pid=daemon.pid, batches=BATCHES)
    bare = worker("bare_sessions:replaying", store=store)
    rows = round(bare.facts[MASK]["gradient_rows"])
    return {
        IN_PROCESS: worker("in_process:explaining", store=store, batches=BATCHES),
        GRPC: served,
        ALONE: worker("in_process:explaining", store=store, one_thread=True),
        BARE: bare,
        ONE_WORKER: worker("by_socket:explaining", **at_single, batches=BATCHES),
        STUB: worker("over_grpc:explaining", **at_single),
        PEER: worker("torchserve_explain:explaining", store=store),
        ECHO: worker("echo:echoing", sizes={name: served.facts[name] for name in (PREDICTION, BOTH, ALL)}),
        TORCH: worker("in_process:explaining", store=store, backend="torch", names=BACKEND_NAMES),
        TORCHSERVE: worker("in_process:explaining", store=store, backend="torchserve", names=BACKEND_NAMES),
        IN_TORCH: worker("captum_gradients:attributing", store=store, steps=(PEER_STEPS, rows)),
    }


def _subjects(arms: Mapping[str, Worker]) -> dict[Key, Subject]:
    """In the order of a turn. What the issue compares stands side by side: a machine that others share is as fast as it
    was for a few seconds only."""
    places = {how: place for place, how in enumerate(arms)}

    def place(key: Key) -> tuple[int, int]:
        call, how = key
        return places[_BESIDE.get(how, how)], _COMPARED.get(call, len(_COMPARED))

    keys = sorted(((call, how) for how, arm in arms.items() for call in arm.calls), key=place)
    subjects: dict[Key, Subject] = {(call, how): arms[how].subject(call) for call, how in keys}
    subjects[EXPLAIN, _at_once(PEER)] = arms[PEER].subject(EXPLAIN, AT_ONCE)
    subjects[MASK, _at_once(ONE_WORKER)] = arms[ONE_WORKER].subject(MASK, AT_ONCE)
    return subjects


def _at_once(how: str) -> str:
    return f"{how}, {AT_ONCE} at once"


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


def _peers(timed: Mapping[Key, Timed], gradient_rows: int) -> Part:
    """Gradient evaluations a second: rows that went through a graph with a gradient."""
    told: list[tuple[str, str, Timed, float]] = [
        ("integrated gradients, 50 steps", PEER, timed[EXPLAIN, PEER], PEER_STEPS),
        ("integrated gradients, 50 steps", _at_once(PEER), timed[EXPLAIN, _at_once(PEER)], PEER_STEPS),
        ("the same hop", PEER_TRANSPORT, timed["predict", PEER], 0),
        ("integrated gradients, 50 steps", IN_TORCH, timed[f"IG {PEER_STEPS}", IN_TORCH], PEER_STEPS),
        (
            f"integrated gradients, {gradient_rows} steps",
            IN_TORCH,
            timed[f"IG {gradient_rows}", IN_TORCH],
            gradient_rows,
        ),
        (MASK, ALONE, timed[MASK, ALONE], gradient_rows),
        (MASK, ONE_WORKER, timed[MASK, ONE_WORKER], gradient_rows),
        (MASK, _at_once(ONE_WORKER), timed[MASK, _at_once(ONE_WORKER)], gradient_rows),
        (ALL, ONE_WORKER, timed[ALL, ONE_WORKER], gradient_rows),
        (SCORED, ONE_WORKER, timed[ANOMALY, ONE_WORKER], 0),
        (MASK, STUB, timed[MASK, STUB], gradient_rows),
        (ALL, STUB, timed[ALL, STUB], gradient_rows),
        (SCORED, STUB, timed[ANOMALY, STUB], 0),
        ("batch of 64", ONE_WORKER, timed["score 64", ONE_WORKER], 0),
    ]
    return Part(
        name="peers",
        title="The only served peer: TorchServe's explain with Captum, on the same classifier",
        rows=[_with_gradients(each.row(what, how), count) for what, how, each, count in told],
        columns=(*TIMING, "gradients", "gradients_per_second"),
        notes=(
            "TorchServe's explain: POST /explanations, one worker, one thread, kept-alive connections, raw bytes back "
            "(its gRPC API has no explanations).",
            "Ours beside it: a daemon with one worker a class, no call of which is spread over idle cores. It is asked "
            "as the peer is, over a socket by one thread, and its answers are parsed; and by gRPC's stub for Python, "
            "which hands each call from thread to thread.",
            "Gradients: evaluations of the classifier's gradient an answer, alone or behind the decoder. Ours also "
            "decodes and classifies the path, which is not counted.",
        ),
    )


def _with_gradients(row: Row, count: float) -> Row:
    return row | ({"gradients": count, "gradients_per_second": count * row["items_per_second"]} if count else {})
