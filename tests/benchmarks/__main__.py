"""`make bench`, or `python -m tests.benchmarks`: everything side by side in one run; tables, Markdown, JSON, figures.

Exit codes: 0 done, 1 a part failed (the others are kept), 2 wrong usage. What passes a bar and what does not is in the
table; it is no failure.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.benchmarks import bars, machine, page
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import Results
from tests.benchmarks.tables import show
from tests.demo_store import STORE

PARTS = (
    "side_by_side",
    "peers",
    "gradients",
    "front",
    "stages",
    "concurrency",
    "sources",
    "cold_start",
    "open_load",
    "soak",
    "scale",
    "cuda",
)
"""Modules of tests.benchmarks.parts, in the order they run."""
LONG_DIGITS, LONG_SOAK = 20, 100_000


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _parser().parse_args(arguments)
    effort = _effort(asked)
    effort.out.mkdir(parents=True, exist_ok=True)
    results, failed = _start(asked, effort), []
    for name in asked.only or PARTS:
        effort.told(name)
        try:
            for part in importlib.import_module(f"tests.benchmarks.parts.{name}").measure(effort):
                show(part)
                results = results.with_part(part)
        except Exception:  # the other parts' minutes are not to be lost
            traceback.print_exc()
            failed.append(name)
        results = results.with_part(bars.part(results))
        results.write(effort.out / page.JSON)
    show(results.parts["bars"])
    page.write_report(results, effort.out)
    print(f"The tables are in {effort.out / page.REPORT}, the figures' numbers in {effort.out / page.JSON}.")
    if asked.publish:
        page.publish(effort.out)
    if failed:
        print(f"These parts failed: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--quick", action="store_true", help="a look, not a measurement")
    parser.add_argument(
        "--long", action="store_true", help=f"{LONG_DIGITS} digits by the source's solver, {LONG_SOAK:,} requests"
    )
    parser.add_argument("--turns", type=int, help="of everything that is compared (5)")
    parser.add_argument("--digits", type=int, help="that the source's solver explains whole")
    parser.add_argument("--soak", type=int, help="requests while memory is watched (20,000)")
    parser.add_argument("--before", type=Path, help="an older source tree, to measure its daemon beside this one")
    parser.add_argument("--keep", action="store_true", help="keep the parts of the last run that are not run now")
    parser.add_argument("--out", type=Path, default=Path("out/bench"), help="folder (out/bench)")
    parser.add_argument("--publish", action="store_true", help="put the results into docs/performance and its page")
    return parser


def _effort(asked: argparse.Namespace) -> Effort:
    effort = Effort(store=STORE, out=asked.out, before=asked.before)
    if asked.quick:
        effort = effort.quick()
    if asked.long:
        effort = replace(effort, digits=LONG_DIGITS, torch_digits=LONG_DIGITS, soak_requests=LONG_SOAK)
    given = {"turns": asked.turns, "digits": asked.digits, "soak_requests": asked.soak}
    return replace(effort, **{name: value for name, value in given.items() if value is not None})


def _start(asked: argparse.Namespace, effort: Effort) -> Results:
    """Empty; with --keep, what the last run found, which is then no longer one run."""
    described = machine.described() | {"turns": effort.turns, "quick": asked.quick}
    path = effort.out / page.JSON
    kept = Results.read(path).parts if asked.keep and path.is_file() else {}
    return Results(described, kept)


if __name__ == "__main__":
    sys.exit(main())
