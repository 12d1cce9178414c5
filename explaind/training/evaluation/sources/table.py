"""docs/results/README.md: one row for every figure of the sources, written from what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TypeGuard

from explaind.errors import ConfigurationError
from explaind.training.evaluation.lookup import FILE_NAME
from explaind.training.evaluation.morphing.morphs import WALK
from explaind.training.evaluation.page import row_of
from explaind.training.evaluation.sections import SECTIONS
from explaind.training.evaluation.sources.an_rows import AN_ROWS
from explaind.training.evaluation.sources.lr_rows import LR_ROWS
from explaind.training.evaluation.sources.pm_rows import PM_ROWS
from explaind.training.evaluation.sources.row import NOT_MEASURED, Measured, Row

ROWS: tuple[Row, ...] = (*PM_ROWS, *LR_ROWS, *AN_ROWS)
_HEADER = ("source", "what", "source figure", "ours", "same work?", "verdict")


def table_text(measured: Measured, rows: tuple[Row, ...] = ROWS) -> str:
    """The page, from evaluation.json of every bundle and results.json of every study."""
    cells = [row.cells(measured) for row in rows]
    lines = [row_of(_HEADER), row_of(["---"] * len(_HEADER)), *(row_of(line) for line in cells)]
    front = ["# The sources' figures, and ours", _FRONT, _tally(cells), *_older(measured)]
    return "\n\n".join([*front, "\n".join(lines), _reports(measured)]) + "\n"


_FRONT = """
Written by `explaind evaluate --table` from each bundle's `evaluation.json` and each study's `results.json`; a test
checks that nobody wrote it by hand. **[PM]** is the thesis on path masks, **[LR]** the one on ranking latents, **[AN]**
the paper on VAEs for explainability. *Better* and *worse* compare numbers at the digits the source prints; *alike*
means equal at those; *higher* and *lower* stand where neither direction is better. Where the work is not the same, read
what differs before the verdict.
""".strip()


def _tally(cells: list[tuple[str, str, str, str, str, str]]) -> str:
    counts = Counter(_word(line[5]) for line in cells)
    words = ("better", "alike", "worse", "higher", "lower", "confirmed", "not confirmed")
    said = [f"{counts[word]} {word}" for word in words if counts[word]]
    missing = sum(line[3] == NOT_MEASURED for line in cells)
    others = len(cells) - sum(counts[word] for word in words) - missing
    return f"{len(cells)} rows: {', '.join([*said, f'{others} said in words', f'{missing} {NOT_MEASURED}'])}."


def _word(verdict: str) -> str:
    """«NMAE better» → «better»."""
    return verdict if "confirmed" in verdict else verdict.split()[-1]


def _reports(measured: Measured) -> str:
    """Links to every page there is."""
    pages = sorted(path.parent.name for path in measured.results.glob("*/README.md"))
    return "Reports: " + (", ".join(f"[{name}]({name}/README.md)" for name in pages) or "none yet") + "."


def _older(measured: Measured) -> list[str]:
    """Which bundles' sections were measured with another walk than the one there is."""
    names = sorted(path.parent.name for path in measured.store.glob(f"*/{FILE_NAME}"))
    older = {name: keys for name in names if (keys := _walked_otherwise(measured, name))}
    if not older:
        return []
    said = "; ".join(f"{name}: {', '.join(keys)}" for name, keys in older.items())
    return [
        "Measured with an earlier walk of the morphs than the one that is served now "
        f"(steps of {WALK['shortest_step']:g} to {WALK['longest_step']:g}, {WALK['neighbours']} neighbours, "
        f"{WALK['round_trips']} round trips): {said}."
    ]


def _walked_otherwise(measured: Measured, name: str) -> list[str]:
    """Keys of the sections that have figures with morphs behind them, and another walk, or none, beside them."""
    figures = {section.key: measured.value(f"{name}:{section.key}") for section in SECTIONS if section.morphs}
    return [key for key, found in figures.items() if _is_measured(found) and found.get("walk") != WALK]


def _is_measured(figures: object) -> TypeGuard[Mapping[str, object]]:
    return isinstance(figures, Mapping) and not figures.keys() & {"excuse", "failed"}


def write_table(store: Path, results: Path) -> Path:
    """Writes `results`/README.md and returns it. Raises ConfigurationError where it cannot."""
    path = results / "README.md"
    text = table_text(Measured(store, results))
    temporary = path.with_suffix(".partial")
    try:
        results.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written ({error.strerror}); check the folder's rights.") from error
    return path
