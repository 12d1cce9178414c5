"""How time grows with the size of images, the number of latents and of path steps; a figure of each.

Sizes and latents on bundles of random weights, made here: only time depends on them. Path steps on the demo bundle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

from explaind.errors import ParityFailed
from explaind.figures.charts import chart
from explaind.figures.palette import series
from tests.benchmarks.effort import Effort
from tests.benchmarks.results import TIMING, Part, Row
from tests.benchmarks.subjects import untrained_sizes
from tests.benchmarks.subjects.asked import ANOMALY, MASK, RANKING
from tests.benchmarks.turns import Key, Subject, in_turns
from tests.benchmarks.worker import Worker

SIDES, LATENTS, STEPS = (28, 64, 128), (10, 100, 400), (10, 25, 50, 100, 200, 400)
USUAL_SIDE, USUAL_LATENTS, RANKED = 28, 100, 12
NAMES = (RANKING, ANOMALY, MASK)
Shape = tuple[int, int]
"""Side and latents of a bundle."""
AXES = {"image size": "side, pixels", "latents": "latents of the morphing space", "path steps": "steps of the path"}
UNTRAINED = "Bundles of random weights, one thread, in process: their explanations mean nothing, only their time does."


def measure(effort: Effort) -> list[Part]:
    shapes = sorted({*((side, USUAL_LATENTS) for side in SIDES), *((USUAL_SIDE, count) for count in LATENTS)})
    if effort.small:
        shapes = [shape for shape in shapes if max(shape) < max(SIDES)]
    with TemporaryDirectory() as folder, ExitStack() as stack:
        effort.told(f"building {len(shapes)} bundles of random weights")
        shapes = _built(Path(folder), shapes, effort)
        workers = {shape: stack.enter_context(_untrained(folder, shape)) for shape in shapes}
        steps = stack.enter_context(
            Worker("tests.benchmarks.subjects.sizes:stepping", store=str(effort.store), counts=STEPS)
        )
        subjects: dict[Key, Subject] = {
            (name, _name(shape)): worker.subject(name) for shape, worker in workers.items() for name in NAMES
        }
        subjects |= {(MASK, call): steps.subject(call) for call in steps.calls}
        timed = in_turns(subjects, turns=effort.turns, block_seconds=effort.block_seconds, told=effort.told)
        outcomes = {_name(shape): worker.report() for shape, worker in workers.items()}
        found = {key: each.row(*key) for key, each in timed.items()}
    sides = {_name(shape): shape[0] for shape in shapes if shape[1] == USUAL_LATENTS}
    latents = {_name(shape): shape[1] for shape in shapes if shape[0] == USUAL_SIDE}
    parts = [
        _part("image size", "Time against the side of an image, random weights", "side", found, sides, outcomes),
        _part("latents", "Time against latents, random weights", "latents", found, latents, outcomes),
        _steps(found, steps.calls),
    ]
    for part, column in zip(parts, ("side", "latents", "steps"), strict=True):
        _draw(part, column, effort.out)
    return parts


def _built(store: Path, shapes: Sequence[Shape], effort: Effort) -> list[Shape]:
    """Those that could be built, two at a time: nothing is measured yet. Random weights may lie on more kinks than the
    export's parity gate forgives."""
    pool = get_context("spawn").Pool(2)
    try:
        failures = pool.starmap(_write, [(store, shape) for shape in shapes], chunksize=1)
    finally:  # ended, not terminated: what they imported has semaphores to give back
        pool.close()
        pool.join()
    for shape, failure in zip(shapes, failures, strict=True):
        if failure:
            effort.told(f"{_name(shape)} was not built: {failure}")
    return [shape for shape, failure in zip(shapes, failures, strict=True) if not failure]


def _write(store: Path, shape: Shape) -> str:
    """What went wrong; nothing where it went well."""
    name = _name(shape)
    try:  # a store of its own, so that an engine opens one bundle
        untrained_sizes.write(store / name, name, side=shape[0], latents=shape[1], ranked=RANKED)
    except ParityFailed as error:
        return str(error)
    return ""


def _name(shape: Shape) -> str:
    return f"side{shape[0]}-latents{shape[1]}"


def _untrained(folder: str, shape: Shape) -> Worker:
    name = _name(shape)
    return Worker("tests.benchmarks.subjects.sizes:explaining", store=f"{folder}/{name}", model=name, side=shape[0])


def _part(
    name: str,
    title: str,
    column: str,
    found: Mapping[Key, Row],
    sizes: Mapping[str, int],
    outcomes: Mapping[str, Mapping[str, int]],
) -> Part:
    rows = [found[what, bundle] | {column: size} for what in NAMES for bundle, size in sizes.items()]
    ends = "; ".join(f"{column} {size}: {_told(outcomes[bundle])}" for bundle, size in sizes.items())
    columns = ("what", column, *TIMING[2:])
    return Part(name=name, title=title, rows=rows, columns=columns, notes=(UNTRAINED, f"Path masks ended: {ends}."))


def _told(outcomes: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {outcome}" for outcome, count in outcomes.items())


def _steps(found: Mapping[Key, Row], calls: Sequence[str]) -> Part:
    rows = [found[MASK, call] | {"steps": int(call.split()[0])} for call in calls]
    return Part(
        name="path steps",
        title="Time of a path mask against its steps (step_count)",
        rows=rows,
        columns=("what", "steps", *TIMING[2:]),
        notes=("The demo bundle, one thread, in process.",),
    )


def _draw(part: Part, column: str, folder: Path) -> None:
    """Medians, on scales on which a power is a straight line; each line is named where it ends."""
    figure, (axes,) = chart(700, 420)
    for number, what in enumerate(dict.fromkeys(row["what"] for row in part.rows)):
        rows = [row for row in part.rows if row["what"] == what]
        sizes, medians = [row[column] for row in rows], [row["median_ms"] for row in rows]
        axes.plot(sizes, medians, marker="o", color=series(number))
        told = f"{what}, {medians[-1]:.0f} ms" if medians[-1] >= 100 else f"{what}, {medians[-1]:#.3g} ms"
        place = {"xytext": (0, 9), "textcoords": "offset points", "ha": "right", "color": series(number)}
        axes.annotate(told, (sizes[-1], medians[-1]), **place)
    ticks = sorted({row[column] for row in part.rows})
    axes.set(xscale="log", yscale="log", xlabel=AXES[part.name], ylabel="median, ms", title=part.title)
    axes.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
    axes.minorticks_off()
    medians = [row["median_ms"] for row in part.rows]
    lowest, highest = 0.6 * min(medians), 1.8 * max(medians)
    axes.set_ylim(lowest, highest)
    levels = [base * 10**power for power in range(-1, 5) for base in (1, 2, 5)]
    shown = [level for level in levels if lowest <= level <= highest]
    axes.set_yticks(shown, [f"{level:g}" for level in shown], minor=False)
    figure.savefig(folder / f"{part.name.replace(' ', '_')}.png", metadata={"Software": None})
