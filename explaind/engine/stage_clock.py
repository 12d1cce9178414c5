"""How long each stage of one request took, and how long such stages take of late."""

from __future__ import annotations

import threading
import time
from bisect import bisect_left, insort
from collections import defaultdict, deque
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager

from explaind.errors import DeadlineTooShort
from explaind.explanations.budget import Budget
from explaind.explanations.types import StageTiming


class Stage:
    """Appends its timing. For a request of a millisecond, a generator made into a context manager costs too much."""

    __slots__ = ("_backend", "_name", "_start", "_timings")

    def __init__(self, timings: list[StageTiming], name: str, backend: str) -> None:
        self._timings, self._name, self._backend = timings, name, backend

    def __enter__(self) -> None:
        self._start = time.perf_counter()

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None:
            seconds = time.perf_counter() - self._start
            self._timings.append(StageTiming(stage=self._name, backend=self._backend, seconds=seconds))


class StageClock:
    """Of one request; used by one thread at a time."""

    def __init__(self) -> None:
        self._timings: list[StageTiming] = []

    def stage(self, stage: str, backend: str = "") -> Stage:
        """To be entered with `with`. One that ends in an error is not counted: its time says nothing of the work."""
        return Stage(self._timings, stage, backend)

    @property
    def timings(self) -> tuple[StageTiming, ...]:
        return tuple(self._timings)


class Estimates:
    """What work of a kind takes, from its recent runs. Thread-safe.

    A kind is a stage with what changes its cost, as in `latent_ranking/sobol`. Runs older than `memory_seconds`
    are forgotten, so that a slow hour does not refuse requests for ever.
    """

    SAMPLES = 64
    MINIMUM = 5

    def __init__(self, memory_seconds: float = 60.0) -> None:
        self._memory_seconds = memory_seconds
        self._runs: defaultdict[str, _Runs] = defaultdict(_Runs)
        self._lock = threading.Lock()

    def add(self, kind: str, seconds: float) -> None:
        with self._lock:
            self._runs[kind].add(time.monotonic(), seconds, self.SAMPLES)

    def seconds(self, kind: str, *, anytime: bool = False) -> float:
        """The median; of work that can stop early the shortest; 0 with too few recent runs to tell."""
        since = time.monotonic() - self._memory_seconds
        with self._lock:
            runs = self._runs[kind]
            runs.forget_before(since)
            if len(runs.rising) < self.MINIMUM:
                return 0.0
            return runs.rising[0] if anytime else _median(runs.rising)

    def total(self, kinds: Mapping[str, bool]) -> float:
        """Seconds that a request of these kinds takes at least; see `require`."""
        return sum(self.seconds(kind, anytime=anytime) for kind, anytime in kinds.items())

    def require(self, budget: Budget, kinds: Mapping[str, bool]) -> None:
        """kinds: whether each can stop early, by kind. Raises DeadlineTooShort where the budget cannot be enough."""
        if budget.deadline is None:
            return
        estimate = self.total(kinds)
        remaining = budget.remaining()
        if remaining <= estimate:
            raise deadline_too_short(remaining, estimate)

    @contextmanager
    def learning(
        self, kinds: Mapping[str, str], clock: StageClock, budget: Budget, *, anytime: Container[str] = ()
    ) -> Iterator[None]:
        """Around a request's work: refuses at once what the budget cannot be enough for, and remembers what it took.

        kinds: by stage. anytime: the stages that can stop early. Raises DeadlineTooShort with the estimate, also where
        the work itself raised it.
        """
        required = {kind: stage in anytime for stage, kind in kinds.items()}
        self.require(budget, required)
        try:
            yield
        except DeadlineTooShort as error:
            error.metadata.setdefault("estimate_seconds", f"{self.total(required):.6f}")
            raise
        for timing in clock.timings:
            self.add(kinds[timing.stage], timing.seconds)


class _Runs:
    """Of one kind: when each was, oldest first, and what it took, shortest first. Asked before every request, so it is
    kept in order rather than sorted then."""

    __slots__ = ("_oldest_first", "rising")

    def __init__(self) -> None:
        self._oldest_first: deque[tuple[float, float]] = deque()
        self.rising: list[float] = []

    def add(self, when: float, seconds: float, most: int) -> None:
        """most: runs that are kept."""
        if len(self.rising) == most:
            self._forget_oldest()
        self._oldest_first.append((when, seconds))
        insort(self.rising, seconds)

    def forget_before(self, moment: float) -> None:
        while self._oldest_first and self._oldest_first[0][0] < moment:
            self._forget_oldest()

    def _forget_oldest(self) -> None:
        _, seconds = self._oldest_first.popleft()
        del self.rising[bisect_left(self.rising, seconds)]


def _median(rising: Sequence[float]) -> float:
    middle = len(rising) // 2
    return rising[middle] if len(rising) % 2 else 0.5 * (rising[middle - 1] + rising[middle])


def deadline_too_short(remaining: float, estimate: float) -> DeadlineTooShort:
    """remaining, estimate: seconds."""
    return DeadlineTooShort(
        f"{max(remaining, 0):.3f} s are left and such a request takes about {estimate:.3f} s: allow more time.",
        metadata={"estimate_seconds": f"{estimate:.6f}"},
    )
