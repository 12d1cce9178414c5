"""How long each stage of one request took, and how long such stages take of late."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterable, Mapping

from explaind.errors import DeadlineTooShort
from explaind.explanations.budget import Budget
from explaind.explanations.types import StageTiming


class Stage:
    """Adds its time. For a request of a millisecond, a generator made into a context manager costs too much."""

    __slots__ = ("_key", "_seconds", "_start")

    def __init__(self, seconds: dict[tuple[str, str], float], name: str, backend: str) -> None:
        self._seconds, self._key = seconds, (name, backend)

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            seconds = time.perf_counter() - self._start
            self._seconds[self._key] = self._seconds.get(self._key, 0.0) + seconds


class StageClock:
    """Of one request; used by one thread at a time. A stage that is passed several times, as by each piece of a batch,
    is one timing of its whole. seconds: by stage and backend."""

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, str], float] = {}

    def stage(self, stage: str, backend: str = "") -> Stage:
        """To be entered with `with`. One that ends in an error is not counted: its time says nothing of the work."""
        return Stage(self.seconds, stage, backend)

    @property
    def timings(self) -> tuple[StageTiming, ...]:
        return tuple(
            StageTiming(stage=stage, backend=backend, seconds=seconds)
            for (stage, backend), seconds in self.seconds.items()
        )


class Estimates:
    """What work of a kind takes, from its recent runs. Thread-safe.

    A kind is a stage with what changes its cost, as in `latent_ranking/sobol`. A run is soon forgotten: what is refused
    teaches nothing, so that a slow moment would go on refusing whoever is in a hurry, on an idle machine too.
    """

    SAMPLES = 64
    MINIMUM = 5
    MEMORY = 10.0
    """How long a run is remembered, in its own length: a refusal saves no more than one."""
    SHORTEST_MEMORY = 1.0
    """Seconds, of runs of milliseconds."""

    def __init__(self, memory_seconds: float = 60.0, now: Callable[[], float] = time.monotonic) -> None:
        """memory_seconds: at most. now: in seconds."""
        self._memory_seconds = memory_seconds
        self._now = now
        self._runs: defaultdict[str, _Runs] = defaultdict(lambda: _Runs(self.SAMPLES))
        self._lock = threading.Lock()

    def add(self, kind: str, seconds: float) -> None:
        with self._lock:
            self._runs[kind].add(self._now(), seconds)

    def seconds(self, kind: str, *, anytime: bool = False) -> float:
        """The median; of work that can stop early the shortest; 0 with too few recent runs to tell."""
        now = self._now()
        with self._lock:
            runs = [seconds for when, seconds in self._runs[kind].latest if now - when <= self._memory_of(seconds)]
        if len(runs) < self.MINIMUM:
            return 0.0
        return min(runs) if anytime else statistics.median(runs)

    def usual(self, kinds: Iterable[str]) -> float:
        """Seconds that work of these kinds took in the median, however long ago; infinite with too few runs to tell."""
        total = 0.0
        for kind in kinds:
            runs = self._runs.get(kind)
            total += math.inf if runs is None else runs.usual
        return total

    def _memory_of(self, seconds: float) -> float:
        return min(max(self.SHORTEST_MEMORY, self.MEMORY * seconds), self._memory_seconds)

    def total(self, kinds: Mapping[str, bool]) -> float:
        """Seconds that a request of these kinds takes at least; see `require`."""
        return sum(self.seconds(kind, anytime=anytime) for kind, anytime in kinds.items())

    def require(self, budget: Budget, kinds: Mapping[str, bool]) -> None:
        """kinds: whether each can stop early, by kind. Raises DeadlineTooShort where the budget cannot be enough."""
        remaining = budget.remaining()
        if remaining > self._at_most(kinds):  # nearly always; medians cost a tenth of a small answer
            return
        estimate = self.total(kinds)
        if remaining <= estimate:
            raise deadline_too_short(remaining, estimate)

    def _at_most(self, kinds: Iterable[str]) -> float:
        """Seconds that `total` does not exceed."""
        with self._lock:
            return sum(self._runs[kind].longest for kind in kinds)

    def learning(self, kinds: Mapping[str, str], clock: StageClock, *, anytime: Container[str] = ()) -> Learning:
        """Around a request's work: what it took is remembered. kinds: by stage. anytime: the stages that can stop
        early."""
        return Learning(self, kinds, clock, anytime)


class Learning:
    """Where the work raises DeadlineTooShort, that is told the estimate."""

    __slots__ = ("_anytime", "_clock", "_estimates", "_kinds")

    def __init__(
        self, estimates: Estimates, kinds: Mapping[str, str], clock: StageClock, anytime: Container[str]
    ) -> None:
        self._estimates, self._kinds, self._clock, self._anytime = estimates, kinds, clock, anytime

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            for (stage, _), seconds in self._clock.seconds.items():
                self._estimates.add(self._kinds[stage], seconds)
        elif isinstance(error, DeadlineTooShort):
            estimate = self._estimates.total(anytime_by_kind(self._kinds, self._anytime))
            error.metadata.setdefault("estimate_seconds", f"{estimate:.6f}")


class _Runs:
    """Of one kind: the `count` latest, each with when it ended. longest: no shorter than the longest of them, seconds;
    what was longer and is forgotten may still count. usual: their median, a few runs ago; infinite before."""

    REFRESHED = 8
    """Runs after which `usual` is found anew: a median costs a tenth of a small answer."""

    __slots__ = ("_added", "latest", "longest", "usual")

    def __init__(self, count: int) -> None:
        self.latest: deque[tuple[float, float]] = deque(maxlen=count)
        self.longest = 0.0
        self.usual = math.inf
        self._added = 0

    def add(self, when: float, seconds: float) -> None:
        self.latest.append((when, seconds))
        self.longest = max(self.longest, seconds)
        self._added += 1
        if self._added % len(self.latest) == 0:
            self.longest = max(run for _, run in self.latest)
        if self._added % self.REFRESHED == 0:
            self.usual = statistics.median(run for _, run in self.latest)


def anytime_by_kind(kinds: Mapping[str, str], anytime: Container[str] = ()) -> dict[str, bool]:
    """What `Estimates.require` takes; kinds: by stage, anytime: the stages that can stop early."""
    return {kind: stage in anytime for stage, kind in kinds.items()}


def deadline_too_short(remaining: float, estimate: float) -> DeadlineTooShort:
    """remaining, estimate: seconds."""
    return DeadlineTooShort(
        f"{max(remaining, 0):.3f} s are left and such a request takes about {estimate:.3f} s: allow more time.",
        metadata={"estimate_seconds": f"{estimate:.6f}"},
    )
