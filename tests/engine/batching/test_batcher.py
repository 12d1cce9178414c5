"""Slots, batches and what may go wrong in them, with a recorded graph in NumPy."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from explaind.engine.batching.batcher import Batcher
from explaind.engine.batching.graph import Graph, Outputs
from explaind.errors import BackendUnavailable, Cancelled, DeadlineTooShort, ShapeMismatch
from explaind.requests import CostClass
from tests.engine.batching.stand_ins import (
    PATIENCE,
    POISON,
    Caller,
    Doubling,
    SeenBudget,
    assert_all_free,
    occupied,
    rows_of,
)


@pytest.fixture
def batcher() -> Batcher:
    return Batcher(slots=1, batch_rows=64)


@pytest.fixture
def doubling() -> Doubling:
    return Doubling()


def _ask(batcher: Batcher, graph: Graph, rows: NDArray[Any], **how: Any) -> Caller[Outputs]:
    return Caller(lambda: batcher.run(graph, (rows,)), **how)


def _asked(batcher: Batcher, graph: Graph, *values: float) -> list[Caller[Outputs]]:
    """One row each, in this order, all waiting."""
    return [_ask(batcher, graph, rows_of(value)).once_it_waits() for value in values]


def _doubled(caller: Caller[Outputs]) -> float:
    (rows,) = caller.result()
    assert len(rows) == 1
    return float(rows[0, 0])


def test_with_a_free_slot_a_call_runs_at_once_in_its_own_thread_on_its_own_arrays(
    batcher: Batcher, doubling: Doubling
) -> None:
    rows = rows_of(1.0)
    (output,) = batcher.run(doubling.graph(), (rows,))
    assert doubling.calls[0] is rows
    assert doubling.threads == [threading.current_thread()]
    assert doubling.observed == [(1, 1)]
    np.testing.assert_array_equal(output, 2 * rows)


def test_a_cancelled_caller_computes_nothing_where_a_slot_is_free(batcher: Batcher, doubling: Doubling) -> None:
    budget = SeenBudget()
    budget.cancel()
    assert isinstance(_ask(batcher, doubling.graph(), rows_of(1.0), budget=budget).error(), Cancelled)
    assert doubling.calls == []
    assert_all_free(batcher, 1)


def test_no_more_than_the_slots_compute_at_once(doubling: Doubling) -> None:
    batcher = Batcher(slots=2, batch_rows=64)
    graph = doubling.graph()
    with occupied(batcher, 2):
        third = _ask(batcher, graph, rows_of(3.0)).once_it_waits()
        assert doubling.calls == []
    assert _doubled(third) == 6.0


def test_what_waits_for_one_graph_shares_one_call(batcher: Batcher, doubling: Doubling) -> None:
    graph = doubling.graph()
    with occupied(batcher):
        callers = [_ask(batcher, graph, rows_of(n, n)).once_it_waits() for n in (1, 2, 3)]
    for n, caller in enumerate(callers, start=1):
        (rows,) = caller.result()
        np.testing.assert_array_equal(rows, 2 * rows_of(n, n))
        assert rows.flags.c_contiguous
    assert doubling.counts == [6]
    assert doubling.observed == [(3, 6)]
    assert_all_free(batcher, 1)


def test_calls_of_several_arrays_keep_them_apart(batcher: Batcher) -> None:
    graph = Graph(lambda a, b: (a + b, a - b), lambda calls, rows: None)
    with occupied(batcher):
        callers = [
            Caller(lambda n=n: batcher.run(graph, (rows_of(n), rows_of(10.0 * n)))).once_it_waits() for n in (1, 2)
        ]
    assert [[float(part[0, 0]) for part in caller.result()] for caller in callers] == [[11.0, -9.0], [22.0, -18.0]]


def test_the_slot_goes_to_who_is_due_first(doubling: Doubling) -> None:
    batcher = Batcher(slots=1, batch_rows=1)
    graph, now = doubling.graph(), time.monotonic()
    with occupied(batcher):
        callers = [
            _ask(batcher, graph, rows_of(value), deadline=deadline).once_it_waits()
            for value, deadline in ((1.0, None), (2.0, now + 2000), (3.0, now + 1000))
        ]
    assert [_doubled(caller) for caller in callers] == [2.0, 4.0, 6.0]
    assert doubling.firsts == [3.0, 2.0, 1.0]


def test_neither_cost_class_starves_the_other(doubling: Doubling) -> None:
    batcher = Batcher(slots=1, batch_rows=1)
    graph = doubling.graph()
    with occupied(batcher):
        callers = [
            _ask(batcher, graph, rows_of(value), cost_class=kind).once_it_waits()
            for kind, values in ((CostClass.SLOW, (1.0, 2.0, 3.0)), (CostClass.FAST, (4.0, 5.0)))
            for value in values
        ]
    for caller in callers:
        caller.result()
    assert doubling.firsts == [4.0, 1.0, 5.0, 2.0, 3.0]


@pytest.mark.parametrize("kind", [CostClass.SLOW, CostClass.REFERENCE])
def test_the_slow_classes_leave_one_slot_to_the_fast(doubling: Doubling, kind: CostClass) -> None:
    batcher = Batcher(slots=2, batch_rows=64)
    graph = doubling.graph()
    with occupied(batcher, cost_class=CostClass.SLOW):
        slow = _ask(batcher, graph, rows_of(1.0), cost_class=kind).once_it_waits()
        assert _doubled(_ask(batcher, graph, rows_of(2.0))) == 4.0
        assert batcher.waiting == 1, "the slot that the fast call left is not for the slow one"
        assert doubling.firsts == [2.0]
    assert _doubled(slow) == 2.0
    assert_all_free(batcher, 2)


def test_a_slow_call_waits_where_fast_ones_compute_in_all_slots(doubling: Doubling) -> None:
    batcher = Batcher(slots=2, batch_rows=64)
    with occupied(batcher, 2):
        slow = _ask(batcher, doubling.graph(), rows_of(1.0), cost_class=CostClass.SLOW).once_it_waits()
    assert _doubled(slow) == 2.0
    assert_all_free(batcher, 2)


# ---- poison ---------------------------------------------------------------------------------------------------


def test_a_poisoned_call_fails_alone(batcher: Batcher, doubling: Doubling) -> None:
    graph = doubling.graph()
    with occupied(batcher):
        good, poisoned, fine = _asked(batcher, graph, 1.0, POISON, 3.0)
    assert (_doubled(good), _doubled(fine)) == (2.0, 6.0)
    assert poisoned.error() is doubling.failure
    assert doubling.counts == [3, 1, 1, 1]
    assert doubling.observed == [(1, 1), (1, 1)]
    assert_all_free(batcher, 1)


def test_a_poisoned_first_call_fails_alone(batcher: Batcher, doubling: Doubling) -> None:
    with occupied(batcher):
        poisoned, good = _asked(batcher, doubling.graph(), POISON, 1.0)
    assert _doubled(good) == 2.0
    assert poisoned.error() is doubling.failure
    assert_all_free(batcher, 1)


def test_where_the_backend_is_down_each_learns_it(batcher: Batcher, doubling: Doubling) -> None:
    doubling.failure = BackendUnavailable("down")
    with occupied(batcher):
        callers = _asked(batcher, doubling.graph(), POISON, POISON)
    assert [type(caller.error()) for caller in callers] == [BackendUnavailable] * 2
    assert_all_free(batcher, 1)


def test_a_backend_that_loses_rows_does_not_mix_up_callers(batcher: Batcher) -> None:
    graph = Graph(lambda rows: (2 * rows[:1],), lambda calls, rows: None)
    with occupied(batcher):
        callers = _asked(batcher, graph, 1.0, 2.0)
    assert [_doubled(caller) for caller in callers] == [2.0, 4.0]


def test_rows_that_do_not_match_are_refused_to_their_caller_alone(batcher: Batcher) -> None:
    def paired(a: NDArray[Any], b: NDArray[Any]) -> Outputs:
        if len(a) != len(b):
            raise ShapeMismatch("Give as many.", field="weights")
        return (a + b,)

    graph = Graph(paired, lambda calls, rows: None)
    sizes = ((2, 3), (3, 2), (1, 1))  # put together they would match
    with occupied(batcher):
        callers = [
            Caller(lambda n=n, m=m: batcher.run(graph, (rows_of(1.0, n), rows_of(1.0, m)))).once_it_waits()
            for n, m in sizes
        ]
    assert [type(caller.error()) for caller in callers] == [ShapeMismatch, ShapeMismatch, type(None)]


def test_a_thread_that_dies_in_a_batch_takes_nobody_along(batcher: Batcher, doubling: Doubling) -> None:
    doubling.failure = SystemExit()
    with occupied(batcher):
        dying, good, fine = _asked(batcher, doubling.graph(), POISON, 1.0, 2.0)
    assert dying.error() is doubling.failure
    assert (_doubled(good), _doubled(fine)) == (2.0, 4.0)
    assert doubling.counts == [3, 2]
    assert_all_free(batcher, 1)


@pytest.mark.parametrize("failure", [ValueError("poisoned"), SystemExit()])
def test_a_call_that_fails_by_itself_frees_its_slot(
    batcher: Batcher, doubling: Doubling, failure: BaseException
) -> None:
    doubling.failure = failure
    with pytest.raises(type(failure)):
        batcher.run(doubling.graph(), (rows_of(POISON),))
    assert doubling.observed == []
    assert_all_free(batcher, 1)


# ---- leaving the queue ----------------------------------------------------------------------------------------


def test_a_cancelled_call_leaves_at_once_and_its_mates_go_on(batcher: Batcher, doubling: Doubling) -> None:
    with occupied(batcher):
        first, leaving, last = _asked(batcher, doubling.graph(), 1.0, 2.0, 3.0)
        leaving.budget.cancel()
        assert isinstance(leaving.error(), Cancelled)
        assert batcher.waiting == 2
    assert (_doubled(first), _doubled(last)) == (2.0, 6.0)
    assert doubling.counts == [2]


def test_one_cancelled_beforehand_does_not_begin_to_wait_for_long(batcher: Batcher, doubling: Doubling) -> None:
    budget = SeenBudget()
    budget.cancel()
    with occupied(batcher):
        caller = _ask(batcher, doubling.graph(), rows_of(1.0), budget=budget)
        assert isinstance(caller.error(), Cancelled)
    assert doubling.calls == []


def test_a_deadline_that_passes_in_the_queue(batcher: Batcher, doubling: Doubling) -> None:
    with occupied(batcher):
        mate = _ask(batcher, doubling.graph(), rows_of(2.0)).once_it_waits()
        late = _ask(batcher, doubling.graph(), rows_of(1.0), deadline=time.monotonic(), cost_class=CostClass.SLOW)
        error = late.error()
        assert isinstance(error, DeadlineTooShort)
        assert error.metadata == {"cost_class": "slow"}
        assert batcher.waiting == 1
    assert _doubled(mate) == 4.0


def test_a_deadline_of_centuries_can_be_waited_for(batcher: Batcher, doubling: Doubling) -> None:
    with occupied(batcher):
        caller = _ask(batcher, doubling.graph(), rows_of(1.0), deadline=1e30).once_it_waits()
    assert _doubled(caller) == 2.0


class _CancelledAsItWakes(SeenBudget):
    """The cancellation comes when the slot has been handed over already."""

    def raise_if_cancelled(self) -> None:
        if self.waits.is_set():
            self.cancel()
        super().raise_if_cancelled()


def test_who_is_cancelled_with_the_slot_in_hand_passes_it_on(batcher: Batcher, doubling: Doubling) -> None:
    graph = doubling.graph()
    with occupied(batcher):
        first = _ask(batcher, graph, rows_of(1.0), budget=_CancelledAsItWakes()).once_it_waits()
        mates = _asked(batcher, graph, 2.0, 3.0)
    assert isinstance(first.error(), Cancelled)
    assert [_doubled(mate) for mate in mates] == [4.0, 6.0]
    assert doubling.counts == [2]
    assert_all_free(batcher, 1)


def test_one_that_is_cancelled_while_another_computes_it_leaves_the_others_their_rows(
    batcher: Batcher, doubling: Doubling
) -> None:
    computing, go_on = threading.Event(), threading.Event()

    def hold(_: NDArray[Any]) -> None:
        computing.set()
        go_on.wait(PATIENCE)

    doubling.before = hold
    with occupied(batcher):
        first, leaving, last = _asked(batcher, doubling.graph(), 1.0, 2.0, 3.0)
    assert computing.wait(PATIENCE)
    leaving.budget.cancel()
    assert isinstance(leaving.error(), Cancelled)
    go_on.set()
    assert (_doubled(first), _doubled(last)) == (2.0, 6.0)


def test_one_that_left_a_batch_which_fails_is_not_computed_again(batcher: Batcher, doubling: Doubling) -> None:
    computing, go_on = threading.Event(), threading.Event()

    def hold(_: NDArray[Any]) -> None:
        computing.set()
        go_on.wait(PATIENCE)

    doubling.before = hold
    with occupied(batcher):
        poisoned, leaving = _asked(batcher, doubling.graph(), POISON, 2.0)
    assert computing.wait(PATIENCE)
    leaving.budget.cancel()
    assert isinstance(leaving.error(), Cancelled)
    go_on.set()
    assert poisoned.error() is doubling.failure
    assert doubling.counts == [2, 1]
    assert_all_free(batcher, 1)


# ---- closing --------------------------------------------------------------------------------------------------


def test_a_closed_graph_refuses_what_waits_and_what_comes_and_leaves_other_graphs_alone(
    batcher: Batcher, doubling: Doubling
) -> None:
    closing, other = doubling.graph(), doubling.graph()
    with occupied(batcher):
        refused = _asked(batcher, closing, 1.0, 3.0)
        stays = _ask(batcher, other, rows_of(2.0)).once_it_waits()
        closing.closed = True
    assert all(isinstance(caller.error(), BackendUnavailable) for caller in refused)
    assert _doubled(stays) == 4.0
    with pytest.raises(BackendUnavailable):
        batcher.run(closing, (rows_of(1.0),))
    assert doubling.firsts == [2.0]
    assert_all_free(batcher, 1)


# ---- threads --------------------------------------------------------------------------------------------------


def test_no_lock_is_held_while_computing() -> None:
    batcher = Batcher(slots=2, batch_rows=64)
    inner = Doubling().graph()

    def compute(rows: NDArray[Any]) -> Outputs:
        asked = Caller(lambda: batcher.run(inner, (rows,)))
        return asked.result()

    graph = Graph(compute, lambda calls, rows: None)
    (output,) = batcher.run(graph, (rows_of(1.0),))
    np.testing.assert_array_equal(output, 2 * rows_of(1.0))


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_under_32_threads_each_gets_its_own_rows_its_own_error_and_no_slot_is_lost(slots: int) -> None:
    batcher = Batcher(slots, batch_rows=8)
    computing, most = 0, 0
    lock = threading.Lock()

    def compute(rows: NDArray[Any]) -> Outputs:
        nonlocal computing, most
        with lock:
            computing += 1
            most = max(most, computing)
        try:
            if (rows == POISON).any():
                raise ValueError("poisoned")
            return (2 * rows, rows.sum(axis=1))
        finally:
            with lock:
                computing -= 1

    graphs = [Graph(compute, lambda calls, rows: None) for _ in range(3)]
    start = threading.Barrier(32)

    def many(seed: int) -> None:
        dice = random.Random(seed)
        start.wait(PATIENCE)
        for turn in range(60):
            value = POISON if dice.random() < 0.1 else float(100 * seed + turn)
            rows = rows_of(value, dice.randint(1, 4))
            if value == POISON:
                with pytest.raises(ValueError, match="poisoned"):
                    batcher.run(dice.choice(graphs), (rows,))
            else:
                doubled, sums = batcher.run(dice.choice(graphs), (rows,))
                np.testing.assert_array_equal(doubled, 2 * rows)
                np.testing.assert_array_equal(sums, rows.sum(axis=1))

    kinds = [CostClass.FAST, CostClass.SLOW]
    callers = [Caller(lambda seed=seed: many(seed), cost_class=kinds[seed % 2]) for seed in range(32)]
    for caller in callers:
        caller.result()
    assert most <= slots
    assert_all_free(batcher, slots)


def test_callers_that_are_cancelled_at_random_lose_no_slot_and_no_mate(doubling: Doubling) -> None:
    batcher = Batcher(slots=2, batch_rows=8)
    graph = doubling.graph()
    callers = [_ask(batcher, graph, rows_of(float(value))) for value in range(200)]
    for caller in callers[::3]:
        caller.budget.cancel()
    for value, caller in enumerate(callers):
        error = caller.error()
        if error is None:
            assert _doubled(caller) == 2.0 * value
        else:
            assert isinstance(error, Cancelled)
            assert value % 3 == 0
    assert_all_free(batcher, 2)
