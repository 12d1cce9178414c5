"""Closed loops: 1, 8 and 32 callers who ask again as soon as they are answered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import processes
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.open_loop import Load, generate
from tests.benchmarks.results import Part
from tests.benchmarks.subjects.asked import ALL, BOTH, MASK, PREDICTION, digits, message
from tests.benchmarks.turns import Block, Key, Timed, rows

CALLERS = (1, 8, 32)
NAMES = (PREDICTION, BOTH, MASK, ALL)
PATIENT = {"queue_seconds": 120}
"""Nobody is refused: a caller who is refused asks again at once, and that is no throughput."""
GENERATOR_NOTE = "The load generator runs on the same cores as the daemon and takes its share of them."


@dataclass(frozen=True)
class ClosedLoop:
    """So many callers of a daemon, for `seconds` a block."""

    daemon: Daemon
    asked: str
    callers: int

    def block(self, seconds: float) -> Block:
        requests = [message(self.asked, image).SerializeToString().hex() for image in digits()]
        load = Load(
            self.daemon.address, requests[0], seconds, concurrency=self.callers, timeout=60, also=tuple(requests[1:])
        )
        pids = (self.daemon.pid,)
        processes.reset_peak(pids)
        cpu = self.daemon.cpu_seconds()
        outcome = generate(load)
        assert set(outcome.ends) == {"OK"}, f"{self.asked} by {self.callers}: {dict(outcome.ends)}"
        cpu_an_item = (self.daemon.cpu_seconds() - cpu) / len(outcome.ok)
        items = max(outcome.in_time, 1)
        return Block(outcome.ok, items, outcome.seconds, cpu_an_item * items, processes.peak_mib(pids))


def measure(effort: Effort) -> list[Part]:
    with Daemon.running(model_store=effort.store, **PATIENT) as daemon:
        loops: dict[Key, ClosedLoop] = {
            (name, f"{callers} at once"): ClosedLoop(daemon, name, callers) for name in NAMES for callers in CALLERS
        }
        if effort.before is None:
            return [_part(_timed(loops, effort))]
        with Daemon.running(tree=_tree(effort.before), model_store=effort.store, **PATIENT) as older:
            loops |= {
                (name, f"{callers} at once, before"): ClosedLoop(older, name, callers)
                for name in NAMES
                for callers in CALLERS
            }
            return [_part(_timed(loops, effort))]


def _tree(path: Path) -> Path:
    assert (path / "explaind").is_dir(), f"{path} is no source tree of explaind"
    return path.resolve()


def _timed(loops: dict[Key, ClosedLoop], effort: Effort) -> dict[Key, Timed]:
    for loop in loops.values():
        loop.block(effort.load_seconds / 4)
    timed = {key: Timed() for key in loops}
    for turn in range(effort.turns):
        effort.told(f"turn {turn + 1} of {effort.turns}")
        for key, loop in loops.items():
            timed[key].blocks.append(loop.block(effort.load_seconds))
    return timed


def _part(timed: dict[Key, Timed]) -> Part:
    return Part(
        name="concurrency",
        title="Closed loops over gRPC",
        rows=sorted(rows(timed), key=lambda row: NAMES.index(row["what"])),
        notes=(GENERATOR_NOTE, "Items a second: answers that came while calls were still sent."),
    )
