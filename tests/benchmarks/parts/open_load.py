"""Open loops: calls at a constant rate, whatever becomes of them. 70 % of the peak, three times the peak, and a tenth
of them broken: of as many calls as without, and on top of as many good ones.

Server, generator and probe share the machine's cores, in the overload more of them than at the peak: the ratios are a
lower bound, and that by the daemon's own CPU time stands beside it. The cores themselves are shared with the host's
other guests: a stall of some milliseconds is the tail of a load of calls of one, so that loads are short and many, and
what was found while the host took next to nothing is told beside what was found in all turns.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from tests.benchmarks.daemon import Daemon, HealthProbe
from tests.benchmarks.effort import Effort
from tests.benchmarks.open_loop import Load, Outcome, generate, percentile, together
from tests.benchmarks.results import Part, Row
from tests.benchmarks.subjects.asked import MASK, MODEL, PREDICTION, digits, message
from tests.benchmarks.subjects.counting import counting

ASKED = (PREDICTION, MASK)
CALLERS = (4, 16, 32)
"""Of which as many ask at the peak as are served best without a refusal."""
COMFORTABLE, TOO_MUCH = 0.7, 3.0
BROKEN_EVERY = 10
SHORT_TURNS = 3
"""At 70 % of the peak, of one turn of the other parts, at least."""
MORE_TURNS = 3
"""Times as many at most, until of each kind of load as many turns as the other parts have were undisturbed."""
UNDISTURBED = 0.0035
"""Share of the cores that the host may have taken from a load: a hundredth of a second, in which it counts, of a load
of 1.5 s on two cores."""
LEAD_IN = 0.5
"""Seconds before each of its loads."""
SHORT = 0.75
"""Such a turn's loads, in `load_seconds`; there are two of each."""
ENOUGH = 50
"""Calls in a load without broken ones or with them, at least. Two loads make a turn, whose p99 is then its second
slowest; of fewer it would be their maximum."""
HEALTH_SECONDS = 0.1
"""Between two probes, as of a few balancers; each takes the cores that are measured."""
LONGEST = 6
"""Loads' length at most, in `load_seconds`."""
AT_70, AT_300 = "70 % of peak", "3× peak"
COUNTED = 5e-4
"""Seconds that the control counts for a call where nothing disturbs it: about what a prediction takes at the peak."""
CONTROL, AT_70_CONTROL = "control, which counts to a number", "70 % of its peak"
AT_70_BROKEN, AT_70_ADDED = "70 % of peak, 1 in 10 broken", "70 % of peak, broken on top"


Loads = tuple[Outcome, Outcome]
"""Of one kind, in one turn."""


@dataclass(frozen=True)
class Turn:
    """Outcomes at the peak, at 70 % of it without broken calls, with a tenth of the calls broken, and with those broken
    ones on top of as many good ones. The first loads of each kind followed one another, and so did the second. control:
    another server's at its peak and at 70 % of it, just before."""

    peak: Outcome
    comfortable: Loads
    broken: Loads
    added: Loads
    control: tuple[Outcome, Outcome] | None = None


@dataclass(frozen=True)
class Control:
    """A server that does the same work for every call, to be asked in the same turns: what of a tail is the machine's
    alone."""

    address: str

    def turn(self, daemon: Daemon, seconds: float, callers: int) -> tuple[Outcome, Outcome]:
        """At its peak, and at 70 % of that, by the messages that the daemon gets."""
        load = replace(_load(daemon, PREDICTION, seconds, callers=callers), address=self.address)
        peak = generate(load)
        rate = COMFORTABLE * peak.goodput
        return peak, generate(replace(load, seconds=SHORT * seconds, rate=rate, lead_in=LEAD_IN))


@dataclass(frozen=True)
class Overload:
    """Outcomes at three times the peak, and at the peak, just before and just after it. beside_cpu, over_cpu: the
    daemon's seconds for an OK answer."""

    beside: Outcome
    over: Outcome
    beside_cpu: float
    over_cpu: float
    health: list[float]
    health_failures: int


LoadsOf = Callable[[Turn], Loads]


def measure(effort: Effort) -> list[Part]:
    rows: list[Row] = []
    with Daemon.running(model_store=effort.store) as daemon, counting(COUNTED) as address:
        for asked in ASKED:
            effort.told(f"open loop: {asked}")
            callers = _callers_at_peak(daemon, asked, effort.load_seconds)
            control = Control(address) if asked == PREDICTION else None

            def turn(asked: str = asked, callers: int = callers, control: Control | None = control) -> Turn:
                return one_turn(daemon, asked, effort.load_seconds, callers, control)

            turns = _turns(effort, turn)
            effort.told(f"open loop: {asked}, too much")
            overloads = [one_overload(daemon, asked, effort.load_seconds, callers) for _ in range(effort.turns)]
            rows += [*_rows(asked, turns, callers), _overload_row(asked, overloads)]
        assert settled(daemon), "calls that never ended"
    return [
        Part(
            name="open loop",
            title="Open loops over gRPC: constant arrival rates",
            rows=rows,
            columns=(
                "what", "how", "rate", "goodput", "of_peak", "of_peak_by_cpu", "median_ms", "p99_ms", "p99_over_p50",
                "worst_turn", "p99_over_p50_undisturbed", "undisturbed", "p99_over_without",
                "p99_over_without_undisturbed", "refused_p50_ms", "refused_p99_ms", "health_p99_ms", "lost",
                "late_p99_ms", "host_took",
            ),
            notes=(
                "Peak: a closed loop in the same turn, for the overload two, just before and just after it. Goodput: "
                "OK answers a second while calls were still sent; of peak, health and refusals: medians and "
                "percentiles over all turns. Short turns at 70 %, three for one of the overload.",
                "Lost: good calls that were not answered OK, in all turns. Late: by how much the generator itself sent "
                "calls later than due.",
                "Generator, health probe and daemon share the cores: what they take, the daemon lacks. At a rate, the "
                "generator keeps to one of them, the daemon uses all; the first half second of a load at 70 % is not "
                "counted, in which the kernel often runs both on one. By CPU: OK answers for a CPU second of the "
                "daemon, of those at the peak.",
                "Broken: of as many calls one in ten, or on top of as many good ones, which is a ninth more load. Two "
                "loads of each a turn, of fifty calls and more where time allows; their p99s are compared "
                "load by load, without the bursts that the generator sends after a stall of the machine, and the ratio "
                "is of the median pair. Health is asked ten times a second.",
                "Control: a server that for every call counts to one and the same number, in half a millisecond where "
                "nothing disturbs it, and does nothing else, asked in the same turns at 70 % of its own peak: its tail "
                "is the machine's alone.",
                "P99 over p50: of the median turn. Host took: the share of all cores' time, idle or not, that it gave "
                "to others, in the median turn.",
                f"Undisturbed: the turns of which the host took at most {UNDISTURBED:.2%}, and of what is compared "
                f"load by load the pairs of loads; {SHORT_TURNS * effort.turns} turns, and up to {MORE_TURNS} times as "
                f"many until {effort.turns} of each kind are.",
            ),
        )
    ]  # fmt: skip


def undisturbed(outcome: Outcome) -> bool:
    """Whether the host left the cores to the load: what it takes stops generator and daemon, whatever they do."""
    return outcome.host_took <= UNDISTURBED


def _turns(effort: Effort, turn: Callable[[], Turn]) -> list[Turn]:
    turns = [turn() for _ in range(SHORT_TURNS * effort.turns)]
    while len(turns) < MORE_TURNS * SHORT_TURNS * effort.turns and _fewest_undisturbed(turns) < effort.turns:
        turns.append(turn())
    effort.told(f"open loop: {len(turns)} turns, {_fewest_undisturbed(turns)} of them undisturbed")
    return turns


def _fewest_undisturbed(turns: Sequence[Turn]) -> int:
    """Of the three kinds of load."""
    kinds: tuple[LoadsOf, ...] = (lambda turn: turn.comfortable, lambda turn: turn.broken, lambda turn: turn.added)
    return min(sum(undisturbed(together(of(turn))) for turn in turns) for of in kinds)


def settled(daemon: Daemon, seconds: float = 20.0) -> bool:
    """Whether every call that was started has been counted as handled: the generator leaves some to their deadlines."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        started = daemon.total("grpc_server_started_total", grpc_method="Explain")
        if started == daemon.total("grpc_server_handled_total", grpc_method="Explain"):
            return True
        time.sleep(0.2)
    return False


def broken_messages() -> tuple[str, ...]:
    """No image, not the model's size, not a number, no such model, a parameter out of range, and no message at all."""
    image = digits(1)[0]
    spoilt = message(PREDICTION, image)
    spoilt.image.encoded = b"\x89PNG\r\n\x1a\n rubbish"
    wrong = message(PREDICTION, image)
    wrong.image.tensor.shape[1] = 27
    unheard = message(PREDICTION, image)
    unheard.model = "no-such-model"
    greedy = message(MASK, image)
    greedy.path_mask.step_count = 1_000_000
    nan = np.full((1, 28, 28), np.nan, "<f4").tobytes()
    tensor = pb.Tensor(shape=(1, 28, 28), dtype=pb.DATA_TYPE_FLOAT32, values=nan)
    numberless = service_pb.ExplainRequest(model=MODEL, image=pb.Image(tensor=tensor))
    messages = (spoilt, wrong, unheard, greedy, numberless)
    return (*(each.SerializeToString().hex() for each in messages), b"\xff\xff\xff no message".hex())


def _callers_at_peak(daemon: Daemon, asked: str, seconds: float) -> int:
    """Refused callers would ask again at once, and their number is no peak."""
    goodput: dict[int, float] = {}
    for callers in CALLERS:
        outcome = generate(_load(daemon, asked, seconds, callers=callers))
        if set(outcome.ends) == {"OK"}:
            goodput[callers] = outcome.goodput
    # On a machine that stalls, the fewest may be refused already.
    return max(goodput, key=lambda callers: goodput[callers], default=min(CALLERS))


def _load(
    daemon: Daemon,
    asked: str,
    seconds: float,
    rate: float = 0.0,
    *,
    callers: int = 1,
    lead_in: float = 0.0,
) -> Load:
    requests = [message(asked, image).SerializeToString().hex() for image in digits()]
    return Load(
        daemon.address,
        requests[0],
        seconds,
        rate=rate,
        lead_in=lead_in,
        concurrency=callers,
        also=tuple(requests[1:]),
    )


def one_turn(daemon: Daemon, asked: str, seconds: float, callers: int, control: Control | None = None) -> Turn:
    beside = control.turn(daemon, seconds, callers) if control else None
    peak = _peak(daemon, asked, seconds, callers)
    return Turn(peak, *_without_and_with_broken(daemon, asked, seconds, COMFORTABLE * peak.goodput), control=beside)


def one_overload(daemon: Daemon, asked: str, seconds: float, callers: int) -> Overload:
    before, before_cpu = _with_cpu(daemon, lambda: _peak(daemon, asked, seconds, callers))
    with HealthProbe.asking(daemon.address, every=HEALTH_SECONDS) as probe:
        overload = _load(daemon, asked, 2 * seconds, TOO_MUCH * before.goodput)
        over, over_cpu = _with_cpu(daemon, lambda: generate(overload))
    after, after_cpu = _with_cpu(daemon, lambda: _peak(daemon, asked, seconds, callers))
    beside_cpu = 0.5 * (before_cpu + after_cpu)
    return Overload(together((before, after)), over, beside_cpu, over_cpu, probe.seconds, probe.failures)


def _peak(daemon: Daemon, asked: str, seconds: float, callers: int) -> Outcome:
    """Longer where a machine that stalls answers nothing in that time."""
    peak = generate(_load(daemon, asked, seconds, callers=callers))
    return peak if peak.in_time else _peak(daemon, asked, 2 * seconds, callers)


def _with_cpu(daemon: Daemon, load: Callable[[], Outcome]) -> tuple[Outcome, float]:
    """And the daemon's CPU seconds for an OK answer, refusals and all."""
    before = daemon.cpu_seconds()
    outcome = load()
    return outcome, (daemon.cpu_seconds() - before) / max(outcome.ends["OK"], 1)


def _without_and_with_broken(daemon: Daemon, asked: str, seconds: float, rate: float) -> tuple[Loads, Loads, Loads]:
    """Without, with a tenth of the calls broken, and with broken ones added. Two loads of each, the one kind within the
    other, so that a drift of the machine falls on all."""
    enough = max(SHORT * seconds, min(LONGEST * seconds, ENOUGH / max(rate, 1e-9)))
    without = _load(daemon, asked, enough, rate, lead_in=LEAD_IN)
    among = replace(without, broken=broken_messages(), broken_every=BROKEN_EVERY)
    added = replace(among, rate=rate * BROKEN_EVERY / (BROKEN_EVERY - 1))
    first, second, third, fourth, fifth, last = (
        generate(load) for load in (without, among, added, added, among, without)
    )
    return (first, last), (second, fifth), (third, fourth)


def _rows(asked: str, turns: Sequence[Turn], callers: int) -> list[Row]:
    calm = _row(asked, AT_70, [together(turn.comfortable) for turn in turns], [turn.peak for turn in turns])
    broken = _broken_row(asked, AT_70_BROKEN, turns, lambda turn: turn.broken, calm["lost"])
    added = _broken_row(asked, AT_70_ADDED, turns, lambda turn: turn.added, calm["lost"])
    peak = {"what": asked, "how": f"peak, {callers} callers", "goodput": _median([turn.peak.goodput for turn in turns])}
    return [peak, calm, broken, added, *_control_row(turns)]


def _control_row(turns: Sequence[Turn]) -> list[Row]:
    found = [turn.control for turn in turns if turn.control]
    if not found:
        return []
    peaks, outcomes = zip(*found, strict=True)
    return [_row(CONTROL, AT_70_CONTROL, outcomes, peaks) | {"lost": None}]


def _overload_row(asked: str, turns: Sequence[Overload]) -> Row:
    row = _row(asked, AT_300, [turn.over for turn in turns], [turn.beside for turn in turns])
    return {
        **row,
        "health_p99_ms": percentile([seconds for turn in turns for seconds in turn.health], 99),
        "health_failures": sum(turn.health_failures for turn in turns),
        "without_retry_info": sum(turn.over.without_retry_info for turn in turns),
        "unsent": sum(turn.over.unsent for turn in turns),
        "lost": None,  # refusing is the point
        "of_peak_by_cpu": _median([turn.beside_cpu / turn.over_cpu for turn in turns]),
    }


def _broken_row(asked: str, how: str, turns: Sequence[Turn], of: LoadsOf, lost: int) -> Row:
    """lost: without broken ones; a machine that stalls makes a daemon refuse some."""
    outcomes = [together(of(turn)) for turn in turns]
    row = _row(asked, how, outcomes, [turn.peak for turn in turns])
    row["broken_ends"] = dict(sum((each.broken_ends for each in outcomes), Counter()))
    row["p99_over_without"] = p99_over_without(turns, of)
    row["p99_over_without_undisturbed"] = p99_over_without(turns, of, undisturbed)
    row["lost_beyond_without"] = max(row["lost"] - lost, 0)
    return row


def p99_over_without(turns: Sequence[Turn], of: LoadsOf, counts: Callable[[Outcome], bool] = lambda _: True) -> float:
    """Of the calls that went out on time: the median over pairs of loads that followed one another, as of every other
    ratio. Over all together one stall of the machine in one of them decides. counts: whether a load does; NaN where
    none does."""
    pairs = [pair for turn in turns for pair in zip(of(turn), turn.comfortable, strict=True) if all(map(counts, pair))]
    return _median([percentile(spoilt.on_time, 99) / percentile(calm.on_time, 99) for spoilt, calm in pairs])


def _row(asked: str, how: str, outcomes: Sequence[Outcome], peaks: Sequence[Outcome]) -> Row:
    """peaks: of the same turns."""
    ok = [percentile(each.ok, 50) for each in outcomes], [percentile(each.ok, 99) for each in outcomes]
    refused = [seconds for each in outcomes for seconds in each.refused]
    ends: Counter[str] = sum((each.ends for each in outcomes), Counter())
    tails = [tail / middle for middle, tail in zip(*ok, strict=True)]
    taken = [each.host_took for each in outcomes]
    calm = [tail for tail, outcome in zip(tails, outcomes, strict=True) if undisturbed(outcome)]
    return {
        "what": asked,
        "how": how,
        "rate": _median([sum(each.ends.values()) / each.seconds for each in outcomes]),
        "goodput": _median([each.goodput for each in outcomes]),
        "of_peak": _median([each.goodput / peak.goodput for each, peak in zip(outcomes, peaks, strict=True)]),
        "median_ms": _median(ok[0]),
        "p99_ms": _median(ok[1]),
        "p99_over_p50": _median(tails),
        "p99_over_p50_turns": tails,
        "worst_turn": max(tails),
        "p99_over_p50_undisturbed": _median(calm),
        "undisturbed": len(calm),
        "host_took": _median(taken),
        "host_took_turns": taken,
        "refused_p50_ms": percentile(refused, 50),
        "refused_p99_ms": percentile(refused, 99),
        "late_p99_ms": percentile([seconds for each in outcomes for seconds in each.late], 99),
        "lost": sum(ends.values()) - ends["OK"],
        "ends": dict(ends),
    }


def _median(values: Sequence[float]) -> float:
    return float(np.median(values)) if values else float("nan")
