"""What a run of the benchmark found, as JSON: parts, each with rows of named figures. Nothing is computed from wall
clocks of other runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

Row = dict[str, Any]
TIMING = (
    "what",
    "how",
    "median_ms",
    "p95_ms",
    "p99_ms",
    "items_per_second",
    "cpu_ms",
    "peak_mib",
)
"""The columns of every row that is timed."""


@dataclass(frozen=True)
class Part:
    """columns: the keys of `rows` that a table shows, in order; rows may hold more. notes: what a reader must know."""

    name: str
    title: str
    rows: Sequence[Row]
    columns: Sequence[str] = TIMING
    notes: Sequence[str] = ()

    def row(self, what: str, how: str = "") -> Row | None:
        """The first with these names; None where it was not measured."""
        return next((row for row in self.rows if row["what"] == what and how in ("", row.get("how"))), None)


@dataclass(frozen=True)
class Results:
    """machine: what it ran on and how, as `machine.described` tells."""

    machine: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Part] = field(default_factory=dict)

    def figure(self, part: str, what: str, how: str, column: str) -> float:
        """NaN where it was not measured."""
        row = self.parts[part].row(what, how) if part in self.parts else None
        value = row.get(column) if row else None
        return math.nan if value is None else float(value)

    def with_part(self, part: Part) -> Results:
        return Results(self.machine, {**self.parts, part.name: part})

    def write(self, path: Path) -> None:
        """Numbers that are not finite become null: NaN is no JSON."""
        told = {"machine": dict(self.machine), "parts": {name: asdict(part) for name, part in self.parts.items()}}
        path.write_text(json.dumps(_finite(told), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Self:
        told = json.loads(path.read_text(encoding="utf-8"))
        return cls(told["machine"], {name: Part(**part) for name, part in told["parts"].items()})


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(each) for each in value]
    if isinstance(value, float):
        return float(f"{value:.5g}") if math.isfinite(value) else None
    return value
