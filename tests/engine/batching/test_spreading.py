"""Large calls over idle slots: the same rows, no slot taken from others, errors to their caller."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explaind.backends.call_context import calling, current
from explaind.engine.batching.batcher import Batcher
from explaind.engine.batching.graph import Outputs
from explaind.engine.batching.spreading import Spreading
from explaind.explanations.budget import Budget
from explaind.requests import CostClass
from tests.engine.batching.stand_ins import PATIENCE, assert_all_free, occupied


def _numbered(count: int) -> tuple[NDArray[Any], NDArray[Any]]:
    return np.arange(3.0 * count).reshape(count, 3), np.arange(float(count))


def _summed(rows: NDArray[Any], weights: NDArray[Any]) -> Outputs:
    return rows.sum(axis=1) * weights, rows


@pytest.mark.parametrize(
    ("rows", "idle", "hands"), [(31, 4, 1), (32, 1, 1), (32, 2, 2), (32, 8, 2), (100, 3, 3), (0, 4, 1), (100, 0, 1)]
)
def test_a_hand_has_enough_rows_and_a_core_to_itself(rows: int, idle: int, hands: int) -> None:
    assert Spreading(16, 1).hands(rows, idle) == hands


def test_without_least_rows_nothing_is_spread() -> None:
    assert Spreading(0, 1).hands(1000, 8) == 1


@pytest.mark.parametrize("hands", [2, 3, 7])
@pytest.mark.parametrize("least_rows", [1, 7, 25])
def test_the_rows_come_back_in_their_order(hands: int, least_rows: int) -> None:
    arrays = _numbered(50)
    got, whole = Spreading(least_rows, 8).run(_summed, arrays, hands), _summed(*arrays)
    for mine, theirs in zip(got, whole, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_pieces_compute_at_once_and_for_the_same_caller() -> None:
    together, seen = threading.Barrier(2, timeout=PATIENCE), []

    def run(rows: NDArray[Any]) -> Outputs:
        first = threading.current_thread() not in {thread for *_, thread in seen}
        seen.append((current().request_id, current().cost_class, threading.current_thread()))
        if first:  # the caller computes a late piece once more, alone
            together.wait()
        return (rows,)

    with calling(request_id="r", budget=Budget(), cost_class=CostClass.SLOW):
        Spreading(2, 1).run(run, (np.arange(4.0),), 2)
    assert {(request, kind) for request, kind, _ in seen} == {("r", CostClass.SLOW)}
    assert len({thread for *_, thread in seen}) == 2


def test_a_helper_that_hangs_holds_nobody_up() -> None:
    """Its core is another process's, say: the caller computes its piece too."""
    caller, taken, release = threading.current_thread(), threading.Event(), threading.Event()

    def run(rows: NDArray[Any]) -> Outputs:
        if threading.current_thread() is not caller:
            taken.set()
            release.wait(PATIENCE)
        else:
            assert taken.wait(PATIENCE)
        return (2 * rows,)

    (doubled,) = Spreading(2, 1).run(run, (np.arange(12.0),), 2)
    np.testing.assert_array_equal(doubled, 2 * np.arange(12.0))
    release.set()


def test_without_a_free_thread_the_caller_does_it_all() -> None:
    spreading, release, busy = Spreading(1, 1), threading.Event(), threading.Event()

    def hold(rows: NDArray[Any]) -> Outputs:
        if threading.current_thread() is not threading.main_thread():
            busy.set()
            release.wait(PATIENCE)
        else:
            assert busy.wait(PATIENCE)
        return (rows,)

    spreading.run(hold, (np.arange(2.0),), 2)
    caller = threading.current_thread()
    seen = []

    def run(rows: NDArray[Any]) -> Outputs:
        seen.append(threading.current_thread())
        return (rows,)

    np.testing.assert_array_equal(spreading.run(run, (np.arange(6.0),), 2)[0], np.arange(6.0))
    assert set(seen) == {caller}
    release.set()


def test_an_error_of_a_helper_is_the_calls() -> None:
    caller, failed, broken = threading.current_thread(), threading.Event(), []

    def run(rows: NDArray[Any]) -> Outputs:
        if threading.current_thread() is not caller:
            broken.append(rows[0])
            failed.set()
        assert failed.wait(PATIENCE)
        if rows[0] in broken:  # for the caller too, which computes a late piece itself
            raise ValueError("broken")
        return (rows,)

    with pytest.raises(ValueError, match="broken"):
        Spreading(1, 1).run(run, (np.arange(4.0),), 2)


def test_an_error_of_the_caller_ends_the_call() -> None:
    caller, begun, release = threading.current_thread(), threading.Event(), threading.Event()

    def run(rows: NDArray[Any]) -> Outputs:
        if threading.current_thread() is caller:
            assert begun.wait(PATIENCE)
            raise ValueError("broken")
        begun.set()
        release.wait(PATIENCE)
        return (rows,)

    with pytest.raises(ValueError, match="broken"):
        Spreading(1, 1).run(run, (np.arange(40.0),), 2)
    release.set()


def test_only_slots_that_nobody_needs_are_shared() -> None:
    batcher = Batcher(slots=3, batch_rows=64, spread_rows=1)
    assert batcher.idle == 2  # one is left to the fast class
    with occupied(batcher, 1):
        assert batcher.idle == 1
    with occupied(batcher, 3):
        assert batcher.spreading.hands(100, batcher.idle) == 1
    assert_all_free(batcher, 3)
    assert Batcher(slots=1, batch_rows=64, spread_rows=1).idle == 1


def test_a_call_is_spread_over_no_more_hands_than_there_are_cores() -> None:
    batcher = Batcher(slots=4, batch_rows=64, spread_rows=1, cores=2)
    assert batcher.idle == 2
    with occupied(batcher, 3):
        assert batcher.spreading.hands(100, batcher.idle) == 1
    assert_all_free(batcher, 4)
