"""A row of the table: what a source reports, where ours stands, and how the verdict comes of the two."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explaind.errors import ConfigurationError
from explaind.training.evaluation.lookup import FILE_NAME, figure_at

NOT_MEASURED = "not measured yet"
_PLACE = re.compile(r"\{([^{}]+)\}")


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures that evaluations and studies left behind. store: bundles' folders with evaluation.json. results:
    folder of reports; studies keep their figures there, as `NAME/results.json`."""

    store: Path
    results: Path

    def value(self, place: str) -> Any:
        """place: `mnist:morphing.fast.failure_rate`, or `NAME/results.json:…` for a study; None where not measured.

        Raises ConfigurationError where the file is no JSON.
        """
        name, _, path = place.partition(":")
        return figure_at(_content(self.file(name)), path)

    def file(self, name: str) -> Path:
        return self.results / name if name.endswith(".json") else self.store / name / FILE_NAME


def _link(name: str) -> str:
    """To the page that goes with a file of figures."""
    folder, _, file = name.partition("/")
    page = "README" if file in ("", "results.json") else file.removesuffix(".json")
    return f"[{folder}]({folder}/{page}.md)"


def _content(file: Path) -> Any:
    if not file.exists():
        return {}
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigurationError(f"{file} is not JSON ({error}); measure it again.") from error


@dataclass(frozen=True, slots=True)
class Against:
    """Ours at `place` against the source's `figure`, which is printed to `digits` decimals; lower or higher is
    better, neither where it is neutral. of: which of the row's figures is compared, where it has several."""

    place: str
    figure: float
    digits: int
    lower: bool = False
    neutral: bool = False
    of: str = ""

    def verdict(self, measured: Measured) -> str:
        value = measured.value(self.place)
        if not isinstance(value, int | float):
            return NOT_MEASURED
        return f"{self.of} {self._word(float(value))}".strip()

    def _word(self, value: float) -> str:
        difference = round(value, self.digits) - self.figure
        if abs(difference) < 0.5 * 10.0**-self.digits:
            return "alike"
        if self.neutral:
            return "lower" if difference < 0 else "higher"
        return "better" if (difference < 0) is self.lower else "worse"


@dataclass(frozen=True, slots=True)
class Compared:
    """The source says that one thing is larger than another: is it here?"""

    larger: str
    smaller: str

    def verdict(self, measured: Measured) -> str:
        first, second = measured.value(self.larger), measured.value(self.smaller)
        if not isinstance(first, int | float) or not isinstance(second, int | float):
            return NOT_MEASURED
        return "confirmed" if first > second else "not confirmed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """source: [PM], [LR] or [AN]. figure: as it reports it. ours: text with places in braces, each followed by a
    format, as in `{mnist:morphing.fast.failure_rate .3f}`. work: whether it is the same work, and what differs.
    verdict: a comparison, or a sentence where numbers cannot be compared or data cannot answer."""

    source: str
    what: str
    figure: str
    ours: str
    work: str
    verdict: Against | Compared | str

    def cells(self, measured: Measured) -> tuple[str, str, str, str, str, str]:
        ours = self._ours(measured)
        verdict = self.verdict if isinstance(self.verdict, str) else self.verdict.verdict(measured)
        if ours == NOT_MEASURED:
            verdict = "–"
        return (self.source, self.what, self.figure, ours, self.work, verdict)

    def files(self) -> list[str]:
        """The bundles and studies it reads, each once, in order."""
        return list(dict.fromkeys(place.partition(":")[0] for place in _PLACE.findall(self.ours)))

    def _ours(self, measured: Measured) -> str:
        text = self.ours
        for place in _PLACE.findall(text):
            # A key may hold spaces; a format stands after the last one.
            path, space, form = place.rpartition(" ")
            path, form = (path, form) if space else (form, "")
            value = measured.value(path)
            if value is None:
                return NOT_MEASURED
            text = text.replace("{" + place + "}", format(value, form))
        links = ", ".join(_link(name) for name in self.files())
        return f"{text} ({links})" if links else text
