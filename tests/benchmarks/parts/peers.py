"""The only served peer beside us: TorchServe's explain with Captum, on the same classifier, asked in the same way.

Turns are short and many: a machine that others share changes its speed within seconds, and what is compared should
have the same of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.parts.side_by_side import ALONE
from tests.benchmarks.results import TIMING, Part, Row
from tests.benchmarks.subjects.asked import ALL, ANOMALY, DIGITS, MASK, SCORED
from tests.benchmarks.subjects.in_process import ONE_THREAD
from tests.benchmarks.turns import Key, Subject, Timed, in_turns
from tests.benchmarks.worker import Worker

NAME = "peers"
ONE_WORKER = "gRPC, one worker and thread"
STUB = f"{ONE_WORKER}, Python stub"
PEER, PEER_TRANSPORT, IN_TORCH = "TorchServe + Captum", "TorchServe, prediction only", "Captum in process"
AT_ONCE = 8
BATCH = 64
PEER_STEPS = 50
ATTRIBUTION = f"integrated gradients, {PEER_STEPS} steps"
EXPLAIN, PREDICT, SCORE = "explain", "predict", f"score {BATCH}"
SHORT_TURNS = 6
"""Of one turn of the other parts."""
_ASKED = (ANOMALY, MASK, ALL)
_SUBJECTS = "tests.benchmarks.subjects"


def measure(effort: Effort) -> list[Part]:
    store = str(effort.store)
    gradient_rows = _gradient_rows(store)
    with ExitStack() as stack:
        arms = _arms(effort, gradient_rows, stack)
        timed = in_turns(
            _subjects(arms, gradient_rows),
            turns=SHORT_TURNS * effort.turns,
            block_seconds=effort.block_seconds / 2,
            round_calls=DIGITS,
            told=effort.told,
        )
    return [_part(timed, gradient_rows)]


def _gradient_rows(store: str) -> int:
    """Of a path mask, in the mean."""
    with Worker(f"{_SUBJECTS}.bare_sessions:replaying", store=store) as bare:
        return round(bare.facts[MASK]["gradient_rows"])


def _arms(effort: Effort, gradient_rows: int, stack: ExitStack) -> dict[str, Worker]:
    store = str(effort.store)

    def worker(build: str, **options: object) -> Worker:
        effort.told(f"starting {build}")
        return stack.enter_context(Worker(f"{_SUBJECTS}.{build}", **options))

    daemon = stack.enter_context(Daemon.running(model_store=store, workers=1, slow_workers=1, **ONE_THREAD))
    at_daemon = {"address": daemon.address, "pid": daemon.pid, "names": _ASKED}
    return {
        ALONE: worker("in_process:explaining", store=store, names=(MASK,), one_thread=True),
        ONE_WORKER: worker("by_socket:explaining", **at_daemon, batches=(BATCH,)),
        STUB: worker("over_grpc:explaining", **at_daemon),
        PEER: worker("torchserve_explain:explaining", store=store),
        IN_TORCH: worker("captum_gradients:attributing", store=store, steps=(PEER_STEPS, gradient_rows)),
    }


def _subjects(arms: Mapping[str, Worker], gradient_rows: int) -> dict[Key, Subject]:
    """In the order of a turn: what is compared most stands side by side."""
    order = (
        (PREDICT, PEER),
        (ANOMALY, STUB),
        (ANOMALY, ONE_WORKER),
        (EXPLAIN, PEER),
        (MASK, ONE_WORKER),
        (MASK, STUB),
        (ALL, ONE_WORKER),
        (ALL, STUB),
        (SCORE, ONE_WORKER),
        (MASK, ALONE),
        (f"IG {PEER_STEPS}", IN_TORCH),
        (f"IG {gradient_rows}", IN_TORCH),
    )
    subjects: dict[Key, Subject] = {(call, how): arms[how].subject(call) for call, how in order}
    subjects[EXPLAIN, at_once(PEER)] = arms[PEER].subject(EXPLAIN, AT_ONCE)
    subjects[MASK, at_once(ONE_WORKER)] = arms[ONE_WORKER].subject(MASK, AT_ONCE)
    return subjects


def at_once(how: str) -> str:
    return f"{how}, {AT_ONCE} at once"


def _part(timed: Mapping[Key, Timed], gradient_rows: int) -> Part:
    """Gradient evaluations a second: rows that went through a graph with a gradient."""
    told: list[tuple[str, str, Timed, float]] = [
        (ATTRIBUTION, PEER, timed[EXPLAIN, PEER], PEER_STEPS),
        (ATTRIBUTION, at_once(PEER), timed[EXPLAIN, at_once(PEER)], PEER_STEPS),
        ("the same hop", PEER_TRANSPORT, timed[PREDICT, PEER], 0),
        (ATTRIBUTION, IN_TORCH, timed[f"IG {PEER_STEPS}", IN_TORCH], PEER_STEPS),
        (
            f"integrated gradients, {gradient_rows} steps",
            IN_TORCH,
            timed[f"IG {gradient_rows}", IN_TORCH],
            gradient_rows,
        ),
        (MASK, ALONE, timed[MASK, ALONE], gradient_rows),
        (MASK, ONE_WORKER, timed[MASK, ONE_WORKER], gradient_rows),
        (MASK, at_once(ONE_WORKER), timed[MASK, at_once(ONE_WORKER)], gradient_rows),
        (ALL, ONE_WORKER, timed[ALL, ONE_WORKER], gradient_rows),
        (SCORED, ONE_WORKER, timed[ANOMALY, ONE_WORKER], 0),
        (MASK, STUB, timed[MASK, STUB], gradient_rows),
        (ALL, STUB, timed[ALL, STUB], gradient_rows),
        (SCORED, STUB, timed[ANOMALY, STUB], 0),
        (f"batch of {BATCH}", ONE_WORKER, timed[SCORE, ONE_WORKER], 0),
    ]
    return Part(
        name=NAME,
        title="The only served peer: TorchServe's explain with Captum, on the same classifier",
        rows=[_with_gradients(each.row(what, how), count) for what, how, each, count in told],
        columns=(*TIMING, "gradients", "gradients_per_second"),
        notes=(
            f"{len(timed[EXPLAIN, PEER].blocks)} short turns, since the machine changes its speed within seconds.",
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
