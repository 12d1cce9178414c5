"""Many requests of every kind, while the daemon's memory is watched: flat, or not."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace

import numpy as np

from tests.benchmarks import processes
from tests.benchmarks.daemon import Daemon
from tests.benchmarks.effort import Effort
from tests.benchmarks.open_loop import Load, Outcome, generate, together
from tests.benchmarks.parts.concurrency import PATIENT
from tests.benchmarks.parts.open_load import broken_messages
from tests.benchmarks.results import Part, Row
from tests.benchmarks.subjects.asked import ALL, BOTH, MASK, PREDICTION, digits, message
from tests.benchmarks.watch import watching

MIXTURE = {PREDICTION: 90, BOTH: 7, MASK: 2, ALL: 1}
"""Requests in a hundred."""
BROKEN_EVERY = 50
CALLERS = 8
IN_FLIGHT = (1, 8, 32, 64)
LEAST_CALLS = 20
EVERY_SECONDS = 0.5
CONNECTION_CALLS = 5_000
"""Then callers come over a new connection: the daemon closes one after five minutes."""
CONNECTION_SECONDS = 280.0
WARM_SHARE = 0.25
"""Of the requests, before memory counts: pools and caches fill up first."""


@dataclass
class Memory:
    """Requests answered and resident memory of a daemon, look by look."""

    answered: list[float] = field(default_factory=list)
    resident: list[float] = field(default_factory=list)

    def look(self, daemon: Daemon) -> None:
        self.answered.append(daemon.total("grpc_server_handled_total", grpc_method="Explain"))
        self.resident.append(daemon.resident_mib())


def measure(effort: Effort) -> list[Part]:
    with Daemon.running(model_store=effort.store, **PATIENT) as daemon:
        fresh = daemon.resident_mib()
        in_flight = _in_flight(daemon)
        effort.told(f"soak: {effort.soak_requests} requests")
        soak = _soak(daemon, effort.soak_requests)
    rows: list[Row] = [
        {"what": "one replica", "how": "just SERVING", "resident_mib": fresh, "peak_mib": fresh},
        *in_flight,
        soak,
    ]
    return [
        Part(
            name="memory",
            title="Resident memory of the daemon",
            rows=rows,
            columns=("what", "how", "resident_mib", "peak_mib", "kib_per_request", "kib_per_1000_requests", "requests"),
            notes=(
                f"Soak: {', '.join(f'{share} % {name}' for name, share in MIXTURE.items())}, and one in {BROKEN_EVERY} "
                f"broken, by {CALLERS} callers. The slope is a straight line through resident memory against requests, "
                f"the first {WARM_SHARE:.0%} left out.",
                "KiB per request: the peak above that of one in flight, over those that are in flight more.",
            ),
        )
    ]


def _in_flight(daemon: Daemon) -> list[Row]:
    """Memory that explanations in flight take, beyond what one alone takes: more and more of them, for memory that was
    taken once is seldom given back."""
    rows = [_at_once(daemon, callers) for callers in IN_FLIGHT]
    for row in rows[1:]:
        more = row["callers"] - rows[0]["callers"]
        row["kib_per_request"] = (row["peak_mib"] - rows[0]["peak_mib"]) * 1024 / more
    return rows


def _at_once(daemon: Daemon, callers: int) -> Row:
    pids = (daemon.pid,)
    processes.reset_peak(pids)
    request = message(ALL, digits(1)[0]).SerializeToString().hex()
    count = max(2 * callers, LEAST_CALLS)
    outcome = generate(Load(daemon.address, request, 600, concurrency=callers, timeout=120, most=count))
    assert set(outcome.ends) == {"OK"}, dict(outcome.ends)
    return {
        "what": f"{callers} in flight",
        "how": "all three",
        "callers": callers,
        "resident_mib": daemon.resident_mib(),
        "peak_mib": processes.peak_mib(pids),
        "requests": count,
    }


def _soak(daemon: Daemon, count: int) -> Row:
    kinds = [name for name, share in MIXTURE.items() for _ in range(share)]
    order = np.random.default_rng(0).permutation(len(kinds))
    images = digits()
    messages = [message(kinds[kind], images[n % len(images)]).SerializeToString().hex() for n, kind in enumerate(order)]
    load = Load(
        daemon.address,
        messages[0],
        CONNECTION_SECONDS,
        concurrency=CALLERS,
        timeout=60,
        also=tuple(messages[1:]),
        broken=broken_messages(),
        broken_every=BROKEN_EVERY,
    )
    began = time.perf_counter()
    memory = Memory()
    with watching(lambda: memory.look(daemon), EVERY_SECONDS):
        outcome = _over_connections(load, count)
    assert set(outcome.ends) == {"OK"}, dict(outcome.ends)
    return {
        "what": "soak",
        "how": f"{CALLERS} callers",
        "resident_mib": daemon.resident_mib(),
        "peak_mib": max(memory.resident),
        "kib_per_1000_requests": _slope(memory) * 1024 * 1000,
        "requests": sum(outcome.ends.values()) + len(outcome.broken),
        "seconds": time.perf_counter() - began,
        "broken_ends": dict(outcome.broken_ends),
        "answered": memory.answered,
        "resident": memory.resident,
    }


def _over_connections(load: Load, count: int) -> Outcome:
    outcomes: list[Outcome] = []
    while (left := count - sum(sum(each.ends.values()) + len(each.broken) for each in outcomes)) > 0:
        outcomes.append(generate(replace(load, most=min(left, CONNECTION_CALLS))))
    return together(outcomes)


def _slope(memory: Memory) -> float:
    """MiB a request; NaN of too few samples."""
    answered, resident = np.array(memory.answered), np.array(memory.resident)
    late = answered >= answered[0] + WARM_SHARE * (answered[-1] - answered[0]) if len(answered) else answered
    if np.count_nonzero(late) < 3:
        return float("nan")
    return float(np.polyfit(answered[late], resident[late], 1)[0])
