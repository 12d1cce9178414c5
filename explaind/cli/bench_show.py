"""What `explaind bench` measured, as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import typer

from explaind.cli.bench_load import LoadPlan, Measured
from explaind.cli.bench_target import Question
from explaind.cli.tables import print_table

COLUMNS = ("explanation", "answered", "median, ms", "p95", "p99", "most", "answers/s", "not answered")
LATE_MS = 10.0
"""Calls that went out later than this say more of the one who asks than of the daemon."""


def as_table(target: str, question: Question, plan: LoadPlan, measured: Mapping[str, Measured]) -> None:
    how = f"{plan.callers} at once" if plan.rate is None else f"{plan.rate:g} calls a second"
    title = f"{target}, {question.model} version {question.version}, {how}"
    print_table(title, COLUMNS, [_row(name, each) for name, each in measured.items()])
    late = max((figures(each)["late_p99_ms"] for each in measured.values()), default=0.0)
    if late > LATE_MS:
        typer.echo(f"Calls went out up to {late:.0f} ms late (p99): this process cannot send so many.", err=True)


def as_json(target: str, question: Question, plan: LoadPlan, measured: Mapping[str, Measured]) -> None:
    told = {
        "target": target,
        "model": question.model,
        "version": question.version,
        "concurrency": plan.callers if plan.rate is None else None,
        "rate": plan.rate,
        "explanations": {name: figures(each) | _failures(each) for name, each in measured.items()},
    }
    typer.echo(json.dumps(told, indent=2))


def figures(measured: Measured) -> dict[str, float]:
    """0 for latencies where nothing was answered."""
    calls = 1e3 * np.array(measured.seconds or [0.0])
    late = 1e3 * np.array(measured.late or [0.0])
    return {
        "answered": len(measured.seconds),
        "median_ms": float(np.percentile(calls, 50)),
        "p95_ms": float(np.percentile(calls, 95)),
        "p99_ms": float(np.percentile(calls, 99)),
        "most_ms": float(calls.max()),
        "answers_per_second": len(measured.seconds) / measured.elapsed,
        "late_p99_ms": float(np.percentile(late, 99)),
        "unsent": measured.unsent,
        "seconds": measured.elapsed,
    }


def _failures(measured: Measured) -> dict[str, dict[str, int]]:
    return {"not_answered": dict(measured.failures)}


def _row(name: str, measured: Measured) -> tuple[str, ...]:
    found = figures(measured)
    shown = ("median_ms", "p95_ms", "p99_ms", "most_ms", "answers_per_second")
    failures = [f"{count} {reason}" for reason, count in measured.failures.most_common()]
    failures += [f"{measured.unsent} not sent"] if measured.unsent else []
    latencies = [f"{found[column]:.4g}" if measured.seconds else "–" for column in shown]
    return (name, f"{len(measured.seconds)}", *latencies, ", ".join(failures) or "0")
