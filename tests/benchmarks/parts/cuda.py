"""On a CUDA device, beside the cores of the same machine: each explanation, its limit, batches, and many callers.

Not among the parts of a usual run: `--only cuda` on a machine with a device. Its results go to a file of their own, for
they are another machine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from explaind.backends.devices import cuda_devices
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.parts.concurrency import CALLERS, PATIENT, ClosedLoop
from tests.benchmarks.results import TIMING, Part, Row
from tests.benchmarks.subjects.asked import ALL, ASKED, BOTH, MASK, PREDICTION
from tests.benchmarks.turns import Key, Subject, Timed, in_turns, rows
from tests.benchmarks.worker import Worker

DEVICE, CORE, TORCH, GRPC = "onnx on CUDA", "onnx on one core", "torch on CUDA", "gRPC, onnx on CUDA"
LIMIT = "recorded calls alone"
BATCHES = (1, 8, 64, 256)
NAMES = (PREDICTION, BOTH, MASK, ALL)
_SUBJECTS = "tests.benchmarks.subjects"


def measure(effort: Effort) -> list[Part]:
    """Nothing where there is no device."""
    if not cuda_devices():
        effort.told("cuda: the driver shows no device")
        return []
    return [*_side_by_side(effort), _callers(effort)]


def _side_by_side(effort: Effort) -> list[Part]:
    store = str(effort.store)
    with ExitStack() as stack:

        def worker(build: str, **options: object) -> Worker:
            effort.told(f"starting {build} {options.get('device', '')}")
            return stack.enter_context(Worker(f"{_SUBJECTS}.{build}", **options))

        daemon = stack.enter_context(Daemon.running(model_store=store, device="cuda"))
        arms = {
            DEVICE: worker("in_process:explaining", store=store, batches=BATCHES, device="cuda"),
            CORE: worker("in_process:explaining", store=store, batches=BATCHES, device="cpu", one_thread=True),
            TORCH: worker("in_process:explaining", store=store, backend="torch", names=NAMES, device="cuda"),
            LIMIT: worker("bare_sessions:replaying", store=store, device="cuda"),
            GRPC: worker("over_grpc:explaining", address=daemon.address, pid=daemon.pid, batches=BATCHES),
        }
        subjects: dict[Key, Subject] = {
            (call, how): arm.subject(call)
            for how, arm in arms.items()
            for call in arm.calls
            if call in ASKED or call in _BATCH_CALLS
        }
        timed = in_turns(subjects, turns=effort.turns, block_seconds=effort.block_seconds, told=effort.told)
        return [_explanations(timed, arms[LIMIT].facts), _batches(timed)]


_BATCH_CALLS = tuple(f"score {size}" for size in BATCHES)


def _explanations(timed: Mapping[Key, Timed], facts: Mapping[str, Mapping[str, float]]) -> Part:
    found: list[Row] = []
    for name in ASKED:
        ways = [how for how in (DEVICE, GRPC, CORE, TORCH, LIMIT) if (name, how) in timed]
        shown = {how: timed[name, how].row(name, how) for how in ways}
        shown[LIMIT] |= facts[name]
        shown[DEVICE]["times_limit"] = shown[DEVICE]["median_ms"] / shown[LIMIT]["median_ms"]
        found += shown.values()
    return Part(
        name="cuda",
        title="One digit on a CUDA device",
        rows=found,
        columns=(*TIMING[:-1], "times_limit", "session_calls", "rows"),
        notes=(
            "Recorded calls alone: the kernels of the explanation's calls, launch after launch; nothing is moved to "
            "the device or back, and nothing computed between them.",
        ),
    )


def _batches(timed: Mapping[Key, Timed]) -> Part:
    found = [
        timed[f"score {size}", how].row(f"batch of {size}", how)
        for size in BATCHES
        for how in (DEVICE, GRPC, CORE)
        if (f"score {size}", how) in timed
    ]
    return Part(
        name="cuda batches",
        title="ScoreAnomalies on a CUDA device",
        rows=found,
        columns=TIMING[:-1],
        notes=("Times are of a whole message, CPU of one image.",),
    )


def _callers(effort: Effort) -> Part:
    """On the device, and with all cores of the machine."""
    with (
        Daemon.running(model_store=effort.store, device="cuda", **PATIENT) as on_device,
        Daemon.running(model_store=effort.store, device="cpu", **PATIENT) as on_cores,
    ):
        loops: dict[Key, ClosedLoop] = {
            (name, f"{callers} at once, {how}"): ClosedLoop(daemon, name, callers)
            for name in NAMES
            for how, daemon in (("CUDA", on_device), ("cores", on_cores))
            for callers in CALLERS
        }
        timed = {key: Timed() for key in loops}
        for turn in range(effort.turns + 1):  # the first warms up
            effort.told(f"turn {turn} of {effort.turns}")
            for key, loop in loops.items():
                block = loop.block(effort.load_seconds / (2 if turn else 4))
                if turn:
                    timed[key].blocks.append(block)
    return Part(
        name="cuda callers",
        title="Closed loops over gRPC, on a CUDA device and on the cores of the same machine",
        rows=rows(timed),
        columns=TIMING[:-1],
        notes=("The load generator has cores of its own here.",),
    )
