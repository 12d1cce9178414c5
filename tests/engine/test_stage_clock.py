"""Stage timings, and what they say of the next request."""

from __future__ import annotations

import math
import time

import pytest

from explaind.engine.stage_clock import Estimates, StageClock
from explaind.errors import DeadlineTooShort
from explaind.explanations.budget import Budget

SOBOL = {"sobol": False}


def _within(seconds: float) -> Budget:
    return Budget(deadline=time.monotonic() + seconds)


def _estimates(kind: str, *runs: float, memory_seconds: float = 60.0) -> Estimates:
    estimates = Estimates(memory_seconds)
    for seconds in runs:
        estimates.add(kind, seconds)
    return estimates


def test_stages_are_recorded_in_order_and_failures_are_not() -> None:
    clock = StageClock()
    with clock.stage("decode"):
        pass
    with pytest.raises(ValueError, match="broken"), clock.stage("predict", "onnx"):
        raise ValueError("broken")
    with clock.stage("predict", "torch"):
        pass
    assert [(timing.stage, timing.backend) for timing in clock.timings] == [("decode", ""), ("predict", "torch")]
    assert all(timing.seconds >= 0 for timing in clock.timings)


def test_a_deadline_below_the_median_is_refused_with_the_estimate() -> None:
    estimates = _estimates("sobol", 1.0, 2.0, 3.0, 4.0, 100.0)
    estimates.require(_within(60), SOBOL)
    estimates.require(Budget(), SOBOL)
    with pytest.raises(DeadlineTooShort, match=r"about 3\.000 s") as caught:
        estimates.require(_within(2.5), SOBOL)
    assert float(caught.value.metadata["estimate_seconds"]) == 3.0


def test_kinds_add_up() -> None:
    estimates = _estimates("sobol", *[1.0] * 5)
    for _ in range(5):
        estimates.add("predict", 0.5)
    assert estimates.total({"sobol": False, "predict": False, "never seen": False}) == 1.5


def test_work_that_can_stop_early_is_held_to_its_shortest_run() -> None:
    estimates = _estimates("path_mask", 0.2, 9.0, 9.0, 9.0, 9.0)
    estimates.require(_within(5), {"path_mask": True})
    with pytest.raises(DeadlineTooShort):
        estimates.require(_within(5), {"path_mask": False})


def test_a_deadline_that_has_passed_is_always_too_short() -> None:
    with pytest.raises(DeadlineTooShort):
        Estimates().require(_within(-1), SOBOL)


def test_few_runs_say_nothing_and_old_ones_are_forgotten() -> None:
    assert _estimates("sobol", *[9.0] * 4).seconds("sobol") == 0
    assert _estimates("sobol", *[9.0] * 5).seconds("sobol") == 9.0
    assert _estimates("sobol", *[9.0] * 5, memory_seconds=-1).seconds("sobol") == 0


@pytest.mark.parametrize(("took", "remembered"), [(0.01, 1.0), (0.4, 4.0), (2.0, 20.0), (30.0, 60.0)])
def test_a_slow_moment_is_forgotten_after_some_ten_times_its_length(took: float, remembered: float) -> None:
    """Though nothing has come since that would tell better: refused requests do not."""
    now = 0.0
    estimates = Estimates(now=lambda: now)
    for _ in range(Estimates.SAMPLES):
        estimates.add("sobol", took)
    now = 0.99 * remembered
    assert estimates.seconds("sobol") == took
    now = 1.01 * remembered
    assert estimates.seconds("sobol") == 0
    for _ in range(Estimates.MINIMUM):
        estimates.add("sobol", took / 4)
    assert estimates.seconds("sobol") == took / 4, "of those before none counts"


def test_only_the_latest_runs_count_and_equal_ones_are_told_apart() -> None:
    latest = [1.0, 3.0] * (Estimates.SAMPLES // 2)
    estimates = _estimates("sobol", *[2.0, 2.0, 0.1, 9.0], *latest)
    assert estimates.seconds("sobol", anytime=True) == 1.0
    assert estimates.seconds("sobol") == 2.0
    estimates.add("sobol", 3.0)
    assert estimates.seconds("sobol") == 3.0


def test_what_is_usual_is_the_median_of_all_runs_and_is_not_forgotten() -> None:
    clock = [0.0]
    estimates = Estimates(now=lambda: clock[0])
    for seconds in (9.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0):
        estimates.add("predict", seconds)
    assert estimates.usual(["predict"]) == math.inf
    estimates.add("predict", 0.1)
    clock[0] = 1e6
    assert estimates.usual(["predict"]) == 2.0
    assert estimates.seconds("predict") == 0.0


def test_of_several_kinds_all_must_be_known() -> None:
    estimates = _estimates("predict", *[1.0] * 8)
    for _ in range(8):
        estimates.add("decode", 0.5)
    assert estimates.usual(["predict", "decode"]) == 1.5
    assert estimates.usual(["predict", "never seen"]) == math.inf


def test_what_becomes_slow_is_soon_usual() -> None:
    estimates = _estimates("predict", *[1.0] * 64, *[5.0] * 40)
    assert estimates.usual(["predict"]) == 5.0
