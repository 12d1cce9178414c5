"""Where the time of all three explanations goes: each graph's session calls, and everything around them."""

from __future__ import annotations

from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Part, Row
from tests.benchmarks.subjects.asked import ALL, DIGITS
from tests.benchmarks.worker import Worker

AROUND = "outside the sessions: NumPy, Python"


def measure(effort: Effort) -> list[Part]:
    with Worker("tests.benchmarks.subjects.bare_sessions:breaking_down", store=str(effort.store), name=ALL) as worker:
        worker.block(ALL, 0, DIGITS, 1)
        worker.report()
        seconds = sum(worker.block(ALL, 0, DIGITS, 1).wall for _ in range(effort.turns))
        found = worker.report()
    count = effort.turns * DIGITS
    inside = sum(spent for _, _, spent in found.values())
    rows = [_row(graph, *figures, count, seconds) for graph, figures in sorted(found.items(), key=lambda e: -e[1][2])]
    rows.append(_row(AROUND, 0, 0, seconds - inside, count, seconds))
    return [
        Part(
            name="stages",
            title="Where the time of all three explanations goes, in process",
            rows=rows,
            columns=("what", "calls", "rows", "ms", "share"),
            notes=(f"Means of {count} explanations of {DIGITS} digits, one thread. The rest is blur, slerp, losses, "
                   "solvers and bookkeeping.",),
        )
    ]  # fmt: skip


def _row(what: str, calls: int, rows: int, seconds: float, count: int, total: float) -> Row:
    return {
        "what": what,
        "how": "",
        "calls": calls / count if calls else None,
        "rows": rows / count if rows else None,
        "ms": 1e3 * seconds / count,
        "share": seconds / total,
    }
