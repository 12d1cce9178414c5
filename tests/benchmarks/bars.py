"""What issue 4 says the benchmark must show: the measured figure beside each bar, from one run's results."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from tests.benchmarks.parts import cold_start, front, gradients, open_load, peers, sources
from tests.benchmarks.parts.peers import ONE_WORKER, PEER, STUB
from tests.benchmarks.parts.side_by_side import ALONE, BARE
from tests.benchmarks.results import Part, Results, Row
from tests.benchmarks.subjects.asked import ALL, BOTH, MASK, SCORED

Measured = Callable[[Results], float]
BEFORE = "1 at once, before"
COMPARISONS = {"≥": operator.ge, "≤": operator.le, "<": operator.lt}


@dataclass(frozen=True)
class Bar:
    """measured: NaN where the run did not measure it. cpu: the same of CPU times, which a busy machine bends less."""

    what: str
    comparison: str
    bar: float
    unit: str
    measured: Measured
    cpu: Measured | None = None

    def row(self, results: Results) -> Row:
        figure = self.measured(results)
        known = math.isfinite(figure)
        cpu = self.cpu(results) if self.cpu else math.nan
        verdict = ("yes" if COMPARISONS[self.comparison](figure, self.bar) else "**no**") if known else "not run"
        wanted = f"{self.comparison} {self.bar:,g}{self.unit}".replace(",", "\u202f")
        return {"what": self.what, "bar": wanted, "measured": figure, "passed": verdict, "by_cpu_time": cpu}


def part(results: Results) -> Part:
    return Part(
        name="bars",
        title="What the issue asks for, and what was measured",
        rows=[bar.row(results) for bar in BARS],
        columns=("what", "bar", "measured", "passed", "by_cpu_time"),
        notes=("By CPU time: the same ratio of CPU seconds an item, for what is compared process against process.",),
    )


def _cpu(part: str, what: str, how: str) -> Measured:
    return lambda results: results.figure(part, what, how, "cpu_ms")


def _rate(part: str, what: str, how: str) -> Measured:
    return lambda results: results.figure(part, what, how, "items_per_second")


def _over(upper: Measured, lower: Measured) -> Measured:
    return lambda results: upper(results) / lower(results)


def _times(part: str, upper: tuple[str, str], lower: tuple[str, str]) -> Measured:
    """How many times as long: the median over turns of what it was in each. A machine that others share is fast in one
    turn and slow in the next, so the medians of two things may be of different ones."""

    def measured(results: Results) -> float:
        found = results.parts.get(part)
        rows = [found.row(*names) if found else None for names in (upper, lower)]
        turns = [row["turn_medians_ms"] if row else [] for row in rows]
        if not turns[0] or len(turns[0]) != len(turns[1]):
            return math.nan
        return float(np.median(np.divide(*turns)))

    return measured


def _figure(part: str, what: str, how: str, column: str) -> Measured:
    return lambda results: results.figure(part, what, how, column)


def _idle(results: Results) -> float:
    """By what share the median at one caller is longer than that of the older tree."""
    return _times("concurrency", (MASK, "1 at once"), (MASK, BEFORE))(results) - 1


def _worst(column: str, *hows: str, pick: Callable[..., float] = np.max) -> Measured:
    """Over everything that was asked in open loops; NaN where some of it is missing."""

    def measured(results: Results) -> float:
        found = results.parts.get("open loop")
        rows = {how: [row for row in found.rows if row["how"] == how] if found else [] for how in hows}
        if not all(rows.values()):
            return math.nan
        figures = [row.get(column) for each in rows.values() for row in each]
        return float(pick([math.nan if figure is None else figure for figure in figures]))

    return measured


_PEER_ONE, _PEER_MANY = (peers.ATTRIBUTION, PEER), peers.at_once(PEER)
_PEER_CPU = _cpu(peers.NAME, peers.ATTRIBUTION, PEER)

BARS = (
    Bar("path mask against the source's procedure in PyTorch", "≥", 1000, "×",
        _figure("sources", MASK, sources.ON_TORCH, "times_ours"),
        _figure("sources", MASK, sources.ON_TORCH, "times_our_cpu")),
    Bar("path mask against REFERENCE on the same backend and threads", "≥", 500, "×",
        _figure("sources", MASK, sources.ON_ONNX, "times_ours"),
        _figure("sources", MASK, sources.ON_ONNX, "times_our_cpu")),
    Bar("its objective over the source's, the worst digit", "≥", 0.995, "",
        _figure("sources", MASK, sources.OURS, "least_objective_ratio")),
    Bar("all three against the bare session calls in them", "≤", 1.5, "×",
        _times("explanations", (ALL, ALONE), (ALL, BARE)),
        _over(_cpu("explanations", ALL, ALONE), _cpu("explanations", ALL, BARE))),
    Bar("what gRPC adds to ranking + anomaly, in echoes of the same bytes", "≤", 2.5, "×",
        _figure(front.NAME, BOTH, "", "echoes")),
    Bar("path mask over gRPC against TorchServe's attribution", "≤", 1.5, "×",
        _times(peers.NAME, (MASK, ONE_WORKER), _PEER_ONE), _over(_cpu(peers.NAME, MASK, ONE_WORKER), _PEER_CPU)),
    Bar("path mask against it, asked by gRPC's stub for Python", "≤", 1.5, "×",
        _times(peers.NAME, (MASK, STUB), _PEER_ONE), _over(_cpu(peers.NAME, MASK, STUB), _PEER_CPU)),
    Bar("all three over gRPC against TorchServe's attribution", "≤", 2.5, "×",
        _times(peers.NAME, (ALL, ONE_WORKER), _PEER_ONE), _over(_cpu(peers.NAME, ALL, ONE_WORKER), _PEER_CPU)),
    Bar("all three against it, asked by gRPC's stub for Python", "≤", 2.5, "×",
        _times(peers.NAME, (ALL, STUB), _PEER_ONE), _over(_cpu(peers.NAME, ALL, STUB), _PEER_CPU)),
    Bar("gradient evaluations a second through the service, against TorchServe's", "≥", 1.5, "×",
        _over(_figure(gradients.NAME, gradients.SOURCES, ONE_WORKER, "gradients_per_second"),
              _figure(gradients.NAME, peers.ATTRIBUTION, _PEER_MANY, "gradients_per_second")),
        _over(_figure(gradients.NAME, peers.ATTRIBUTION, _PEER_MANY, "cpu_us_per_gradient"),
              _figure(gradients.NAME, gradients.SOURCES, ONE_WORKER, "cpu_us_per_gradient"))),
    Bar("prediction + anomaly over gRPC, faster than TorchServe's attribution", "≥", 10, "×",
        _times(peers.NAME, _PEER_ONE, (SCORED, ONE_WORKER)), _over(_PEER_CPU, _cpu(peers.NAME, SCORED, ONE_WORKER))),
    Bar("prediction + anomaly against it, asked by gRPC's stub for Python", "≥", 10, "×",
        _times(peers.NAME, _PEER_ONE, (SCORED, STUB)), _over(_PEER_CPU, _cpu(peers.NAME, SCORED, STUB))),
    Bar("ScoreAnomalies' items a second (batches of 64), against TorchServe's", "≥", 30, "×",
        _over(_rate(peers.NAME, "batch of 64", ONE_WORKER), _rate(peers.NAME, peers.ATTRIBUTION, _PEER_MANY)),
        _over(_PEER_CPU, _cpu(peers.NAME, "batch of 64", ONE_WORKER))),
    Bar("path masks a second, 32 callers against 1", "≥", 1.6, "×",
        _over(_rate("concurrency", MASK, "32 at once"), _rate("concurrency", MASK, "1 at once"))),
    Bar("idle latency of a path mask, longer than before by (needs --before)", "≤", 0.05, "", _idle),
    Bar("p99 over p50 at 70 % of the peak, the worst, undisturbed by the host", "≤", 5, "×",
        _worst("p99_over_p50_undisturbed", open_load.AT_70)),
    Bar("p99 over p50 at 70 % of the peak, the worst, in all turns", "≤", 5, "×",
        _worst("p99_over_p50", open_load.AT_70)),
    Bar("goodput at 3× the peak, of the peak, the worst", "≥", 0.9, "",
        _worst("of_peak", open_load.AT_300, pick=np.min),
        _worst("of_peak_by_cpu", open_load.AT_300, pick=np.min)),
    Bar("Health p99 at 3× the peak, the worst", "<", 100, " ms", _worst("health_p99_ms", open_load.AT_300)),
    Bar("CPU seconds of a cold start to SERVING", "<", 2, " s",
        _figure("cold start", cold_start.WHAT, "", "cpu_s")),
    Bar("a cold start imports torch (0: no)", "≤", 0, "",
        _figure("cold start", cold_start.WHAT, "", "imports_torch")),
    Bar("good calls lost among 10 % broken ones, beyond those lost without", "≤", 0, "",
        _worst("lost_beyond_without", open_load.AT_70_BROKEN, open_load.AT_70_ADDED)),
    Bar("p99 of the good ones where 1 call in 10 is broken, over that without, the worst, undisturbed", "≤", 1.1, "×",
        _worst("p99_over_without_undisturbed", open_load.AT_70_BROKEN)),
    Bar("p99 of the good ones where 1 call in 10 is broken, over that without, the worst, all turns", "≤", 1.1, "×",
        _worst("p99_over_without", open_load.AT_70_BROKEN)),
    Bar("p99 of as many good ones with those broken on top, over that without, the worst, undisturbed", "≤", 1.1, "×",
        _worst("p99_over_without_undisturbed", open_load.AT_70_ADDED)),
    Bar("p99 of as many good ones with those broken on top, over that without, the worst, all turns", "≤", 1.1, "×",
        _worst("p99_over_without", open_load.AT_70_ADDED)),
)  # fmt: skip
"""In the issue's order. Every ratio is of one run; of two things timed in turns, the median of the turns' own."""
