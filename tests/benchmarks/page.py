"""The results as pages: a report beside the JSON, and the tables between the markers of docs/performance.md.

`python -m tests.benchmarks.page` writes the page's tables anew from docs/performance/benchmark.json.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import machine
from tests.benchmarks.results import Results
from tests.benchmarks.tables import markdown

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs/performance"
PAGE = ROOT / "docs/performance.md"
JSON, REPORT = "benchmark.json", "benchmark.md"
CUDA_JSON = "cuda.json"
"""What a machine with a CUDA device found, which is another one."""
ORDER = (
    "bars",
    "explanations",
    "front",
    "stages",
    "backends",
    "batches",
    "peers",
    "gradients",
    "sources",
    "concurrency",
    "cold start",
    "open loop",
    "memory",
)
"""Of the parts in the report; others follow."""
MACHINE, CUDA = "machine", "cuda"
_BLOCK = re.compile(r"<!-- table: (?P<name>[\w ]+) -->\n.*?<!-- end of table -->\n", re.DOTALL)


def write_report(results: Results, folder: Path) -> None:
    names = [*(name for name in ORDER if name in results.parts), *(name for name in results.parts if name not in ORDER)]
    parts = [f"## {results.parts[name].title}\n\n{markdown(results.parts[name])}" for name in names]
    text = f"# Benchmark\n\n{machine.sentence(dict(results.machine))}\n\n" + "\n".join(parts)
    (folder / REPORT).write_text(text, encoding="utf-8")


def filled(page: str, results: Results, on_cuda: Results | None = None) -> str:
    """The page with the table of each part between its markers. on_cuda: of those whose name begins with `cuda`; none:
    `results` too."""
    return fill(page, lambda name: _table(name, (on_cuda or results) if name.startswith(CUDA) else results))


def fill(page: str, table: Callable[[str], str]) -> str:
    """The page with each table between its markers. table: by name, with the end of its last line."""

    def block(found: re.Match[str]) -> str:
        return f"<!-- table: {found['name']} -->\n{table(found['name'])}<!-- end of table -->\n"

    return _BLOCK.sub(block, page)


def _table(name: str, results: Results) -> str:
    if name.endswith(MACHINE):
        return machine.sentence(dict(results.machine)) + "\n"
    part = results.parts.get(name)
    return markdown(part) if part else "*Not measured yet.*\n"


def publish(folder: Path) -> None:
    """JSON and figures of a run into docs/performance, and the page's tables from them."""
    DOCS.mkdir(exist_ok=True)
    for path in (folder / JSON, *sorted(folder.glob("*.png"))):
        shutil.copyfile(path, DOCS / path.name)
    write_page()


def write_page() -> None:
    PAGE.write_text(committed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def committed(page: str) -> str:
    """The page with the tables of docs/performance."""
    on_cuda = DOCS / CUDA_JSON
    return filled(page, Results.read(DOCS / JSON), Results.read(on_cuda) if on_cuda.is_file() else None)


if __name__ == "__main__":
    write_page()
