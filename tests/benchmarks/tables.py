"""A part of the results as a table: on a terminal and as Markdown, the same cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.benchmarks.results import Part, Row

HEADINGS = {
    "what": "",
    "how": "",
    "median_ms": "median, ms",
    "p95_ms": "p95",
    "p99_ms": "p99",
    "items_per_second": "items/s",
    "cpu_ms": "CPU ms an item",
    "cpu_us_per_gradient": "CPU µs a gradient",
    "peak_mib": "peak MiB",
}
TEXT = ("what", "how")
WIDTH = 160


def cell(value: Any) -> str:
    """Three figures of a number; – where there is none."""
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}".replace(",", "\u202f") if abs(value) >= 10_000 else f"{value:.0f}"
    return f"{value:.2g}" if 0 < abs(value) < 0.1 else f"{value:#.3g}"


def heading(column: str) -> str:
    return HEADINGS.get(column, column.replace("_", " "))


def cells(part: Part, row: Row) -> list[str]:
    return [cell(row.get(column)) for column in part.columns]


def markdown(part: Part) -> str:
    """The table, and its notes below."""
    lines = [_line([heading(column) for column in part.columns])]
    lines.append(_line(["---" if column in TEXT else "--:" for column in part.columns]))
    lines += [_line(cells(part, row)) for row in part.rows]
    notes = [f"- {note}" for note in part.notes]
    return "\n".join([*lines, "", *notes]).rstrip() + "\n"


def _line(values: Sequence[str]) -> str:
    return "| " + " | ".join(value.replace("|", "\\|") for value in values) + " |"


def show(part: Part) -> None:
    table = Table(title=part.title, title_justify="left", caption="\n".join(part.notes), caption_justify="left")
    for column in part.columns:
        table.add_column(heading(column), justify="left" if column in TEXT else "right")
    for row in part.rows:
        table.add_row(*cells(part, row))
    console = Console()
    (console if console.is_terminal else Console(width=WIDTH)).print(table)
