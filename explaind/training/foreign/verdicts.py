"""From figures to words: which of a bundle's explanations can be relied on. The thresholds are ours, and stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    GOOD = "good"
    DOUBTFUL = "doubtful"
    NOT_USABLE = "not usable"


_ORDER = (Verdict.GOOD, Verdict.DOUBTFUL, Verdict.NOT_USABLE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured figure with its thresholds. least: more is better, `good` and `doubtful` are lower bounds; else
    upper ones. count: what it was measured on. advice: what helps where it is not good."""

    name: str
    value: float
    good: float
    doubtful: float
    least: bool
    count: int
    advice: str

    @property
    def verdict(self) -> Verdict:
        """A figure that is no number is not usable."""
        if self._reaches(self.good):
            return Verdict.GOOD
        return Verdict.DOUBTFUL if self._reaches(self.doubtful) else Verdict.NOT_USABLE

    def _reaches(self, bound: float) -> bool:
        return self.value >= bound if self.least else self.value <= bound

    def bounds(self) -> tuple[str, str]:
        """For a table: `≥ 0.9`."""
        sign = "≥" if self.least else "≤"
        return f"{sign} {self.good:.3g}", f"{sign} {self.doubtful:.3g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """One explanation. figures empty: the bundle does not have it, `absent` says why."""

    explanation: str
    figures: tuple[Figure, ...]
    absent: str = ""

    @property
    def verdict(self) -> Verdict:
        """The worst of its figures'."""
        if not self.figures:
            return Verdict.NOT_USABLE
        return max((figure.verdict for figure in self.figures), key=_ORDER.index)

    @property
    def deciding(self) -> Figure | None:
        """The first figure that has the verdict."""
        return next((figure for figure in self.figures if figure.verdict is self.verdict), None)

    def sentence(self) -> str:
        if self.deciding is None:
            return f"{self.explanation}: not usable: {self.absent}"
        figure = self.deciding
        good, doubtful = figure.bounds()
        advice = "" if self.verdict is Verdict.GOOD else f" {figure.advice}"
        measured = f"{figure.name} {figure.value:.3f} (good: {good}, doubtful: {doubtful})"
        return f"{self.explanation}: {self.verdict}: {measured}.{advice}"


def as_json(assessments: Sequence[Assessment]) -> list[dict[str, object]]:
    return [
        {
            "explanation": assessment.explanation,
            "verdict": assessment.verdict.value,
            "absent": assessment.absent,
            "figures": [
                {
                    "name": figure.name,
                    "value": float(f"{figure.value:.6g}"),
                    "verdict": figure.verdict.value,
                    "good": figure.bounds()[0],
                    "doubtful": figure.bounds()[1],
                    "measured_on": figure.count,
                }
                for figure in assessment.figures
            ],
        }
        for assessment in assessments
    ]
