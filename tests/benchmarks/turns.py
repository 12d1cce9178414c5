"""Several things timed in turns, A B C A B C …, so that the machine's mood falls on all alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from tests.benchmarks.results import Row

LONGEST_BLOCK = 2000
LONGEST_ROUND = 2.0
"""Seconds that a block may take in order to be of whole rounds."""
WARM_UP_CALLS = 3


@dataclass(frozen=True)
class Block:
    """One subject's share of one turn. seconds: of each call. items: answered in all. wall, cpu: seconds.
    peak_mib: of the processes that do the work."""

    seconds: list[float]
    items: int
    wall: float
    cpu: float
    peak_mib: float


class Subject(Protocol):
    """What is timed: `block` calls it about so many times."""

    def block(self, calls: int) -> Block: ...


@dataclass
class Timed:
    """A subject's blocks, a turn each."""

    blocks: list[Block] = field(default_factory=list)

    @property
    def turn_medians(self) -> list[float]:
        return [float(np.median(block.seconds)) for block in self.blocks]

    def row(self, what: str, how: str, **more: object) -> Row:
        """Median of the turns' medians; the tails over all calls; throughput the median over turns."""
        calls = [seconds for block in self.blocks for seconds in block.seconds]
        items = sum(block.items for block in self.blocks)
        return {
            "what": what,
            "how": how,
            "median_ms": 1e3 * float(np.median(self.turn_medians)),
            "p95_ms": 1e3 * float(np.percentile(calls, 95)),
            "p99_ms": 1e3 * float(np.percentile(calls, 99)),
            "items_per_second": float(np.median([block.items / block.wall for block in self.blocks])),
            "cpu_ms": 1e3 * sum(block.cpu for block in self.blocks) / items if items else math.nan,
            "peak_mib": max(block.peak_mib for block in self.blocks),
            "calls": len(calls),
            "turn_medians_ms": [1e3 * seconds for seconds in self.turn_medians],
            **more,
        }


Key = tuple[str, str]


def in_turns(
    subjects: Mapping[Key, Subject],
    *,
    turns: int,
    block_seconds: float,
    round_calls: int = 1,
    told: Callable[[str], None] = lambda _: None,
) -> dict[Key, Timed]:
    """block_seconds: about how long each subject is called in a turn. Calls before the first turn are not counted.

    round_calls: of how many inputs the calls are, one after the other; a block takes each as often, unless a call is
    very long: some inputs cost twice what others do.
    """
    calls = {key: _calls_in(subject, block_seconds, round_calls) for key, subject in subjects.items()}
    timed = {key: Timed() for key in subjects}
    for turn in range(turns):
        told(f"turn {turn + 1} of {turns}")
        for key, subject in subjects.items():
            timed[key].blocks.append(subject.block(calls[key]))
    return timed


def rows(timed: Mapping[Key, Timed]) -> list[Row]:
    return [each.row(*key) for key, each in timed.items()]


def _calls_in(subject: Subject, seconds: float, round_calls: int) -> int:
    """Warms the subject up, and finds how many calls fill the time."""
    first = subject.block(WARM_UP_CALLS)
    again = subject.block(_fitting(first, seconds / 4))
    count, each = _fitting(again, seconds), _each(again)
    whole = round_calls * max(1, round(count / round_calls))
    return whole if whole * each <= max(LONGEST_ROUND, seconds) else count


def _fitting(block: Block, seconds: float) -> int:
    return int(min(max(round(seconds / _each(block)), 1), LONGEST_BLOCK))


def _each(block: Block) -> float:
    return block.wall / max(len(block.seconds), 1)


def medians(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else math.nan
