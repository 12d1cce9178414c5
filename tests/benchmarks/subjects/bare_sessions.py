"""The forward work of an explanation and nothing else: exactly its session calls, recorded once and made again.

Recorded from outside, where onnxruntime's compiled code is entered, so that whatever the backend makes of its sessions
is seen.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from onnxruntime.capi.onnxruntime_pybind11_state import InferenceSession

from explaind.backends import onnx_sessions
from explaind.backends.cuda_thread import cuda_thread
from explaind.backends.devices import Device, cuda_devices, wants_cuda
from explaind.engine import Engine
from explaind.explanations.budget import Budget
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.subjects.in_process import ONE_THREAD, opened
from tests.benchmarks.worker import Call, Stage

ENTRIES = ("run", "run_with_iobinding", "run_with_ort_values")
GRADIENT = "gradient"
"""What the names of graphs with gradients hold."""


@dataclass
class Recorded:
    """again: each session call, to be made once more; none where inputs are not kept. rows: of all calls of a graph;
    calls: how many there were; seconds: that they took."""

    keep: bool = True
    again: list[Callable[[], object]] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    seconds: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def gradient_rows(self) -> int:
        return sum(rows for graph, rows in self.rows.items() if GRADIENT in graph)

    def enter(
        self, graph: str, rows: int, original: Callable[..., Any], given: Sequence[Any], keywords: Mapping[str, Any]
    ) -> Any:
        with self._lock:
            if self.keep:
                kept = [_kept(value) for value in given]
                self.again.append(lambda: original(*kept, **keywords))
            self.calls[graph] += 1
            self.rows[graph] += rows
        began = time.perf_counter()
        try:
            return original(*given, **keywords)
        finally:
            with self._lock:
                self.seconds[graph] += time.perf_counter() - began


@dataclass
class _Running:
    """The call of a session of ours that is under way; onnxruntime may be entered for it in another thread."""

    graph: str = ""
    rows: int = 0


@contextmanager
def recording(*, keep: bool = True) -> Iterator[Recorded]:
    """Every session call made inside, one at a time; graphs are known by the session that `onnx_sessions` opened.
    keep: the inputs, so that the calls can be made again."""
    recorded, running = Recorded(keep), _Running()
    named = onnx_sessions.Session.run
    originals = {entry: getattr(InferenceSession, entry) for entry in ENTRIES}

    def run(session: Any, *arrays: Any, **keywords: Any) -> Any:
        running.graph, running.rows = session._name, len(arrays[0])
        try:
            return named(session, *arrays, **keywords)
        finally:
            running.graph, running.rows = "", 0

    onnx_sessions.Session.run = run  # type: ignore[method-assign]
    for entry, original in originals.items():
        setattr(InferenceSession, entry, _entry(original, recorded, running))
    try:
        yield recorded
    finally:
        onnx_sessions.Session.run = named  # type: ignore[method-assign]
        for entry, original in originals.items():
            setattr(InferenceSession, entry, original)


def _entry(original: Callable[..., Any], recorded: Recorded, running: _Running) -> Callable[..., Any]:
    def enter(session: Any, *given: Any, **keywords: Any) -> Any:
        return recorded.enter(running.graph, running.rows, original, (session, *given), keywords)

    return enter


def _kept(value: Any) -> Any:
    """Feeds are copied, for solvers write over their arrays."""
    if not isinstance(value, Mapping):
        return value
    return {name: np.array(array) if isinstance(array, np.ndarray) else array for name, array in value.items()}


@contextmanager
def replaying(store: str, names: Sequence[str] = tuple(what.ASKED), device: Device = "auto") -> Iterator[Stage]:
    """Calls: the names; each replays the session calls of the same explanation of the same digit. Facts: by name, mean
    session calls, rows and gradient rows a digit."""
    with opened(Path(store), "onnx", device=device, **ONE_THREAD) as engine:
        found = {name: [_record(engine, name, image) for image in what.pixels(what.digits())] for name in names}
        on_device = wants_cuda(device) and cuda_devices() > 0
        calls = {name: _replay(each, on_device) for name, each in found.items()}
        yield Stage(calls, facts={name: _told(each) for name, each in found.items()})


def _record(engine: Engine, name: str, image: np.ndarray[Any, Any]) -> Recorded:
    with recording() as recorded:
        engine.explain(what.engine_request(name, image), Budget())
    return recorded


def _replay(found: Sequence[Recorded], on_device: bool) -> Call:
    """on_device: in its one thread, whose the recordings are; passed over once, not call by call."""

    def replay(number: int) -> int:
        for again in found[number % len(found)].again:
            again()
        return 1

    return (lambda number: cuda_thread().run(lambda: replay(number))) if on_device else replay


@contextmanager
def breaking_down(store: str, name: str) -> Iterator[Stage]:
    """Calls: the explanation as it is. The report: by graph, its calls, rows and seconds since it was asked last."""
    with opened(Path(store), "onnx", **ONE_THREAD) as engine, recording(keep=False) as recorded:
        requests = [what.engine_request(name, image) for image in what.pixels(what.digits())]

        def call(number: int) -> int:
            engine.explain(requests[number % len(requests)], Budget())
            return 1

        def report() -> dict[str, tuple[int, int, float]]:
            counts = recorded.calls, recorded.rows, recorded.seconds
            told = {graph: tuple(count[graph] for count in counts) for graph in recorded.calls}
            for count in counts:
                count.clear()
            return told

        yield Stage({name: call}, report=report)


def _told(found: Sequence[Recorded]) -> dict[str, float]:
    return {
        "session_calls": float(np.mean([len(each.again) for each in found])),
        "rows": float(np.mean([sum(each.rows.values()) for each in found])),
        "gradient_rows": float(np.mean([each.gradient_rows for each in found])),
    }
