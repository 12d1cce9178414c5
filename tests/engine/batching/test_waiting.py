"""Who is next and who goes along, without threads."""

from __future__ import annotations

import math

import numpy as np
import pytest

from explaind.backends.call_context import calling
from explaind.engine.batching.call import Call, call_of
from explaind.engine.batching.graph import Graph
from explaind.engine.batching.waiting import MOST_OVERTAKEN, Waiting
from explaind.requests import CostClass
from tests.engine.batching.stand_ins import Doubling, rows_of

FAST, SLOW = CostClass.FAST, CostClass.SLOW


@pytest.fixture
def graph() -> Graph:
    return Doubling().graph()


def _call(
    graph: Graph, *, rows: int = 1, deadline: float | None = None, kind: CostClass = FAST, width: int = 3
) -> Call:
    with calling(deadline=deadline, cost_class=kind):
        return call_of(graph, (np.zeros((rows, width), np.float32),))


def _waiting(*calls: Call, batch_rows: int = 1) -> Waiting:
    waiting = Waiting(batch_rows)
    for call in calls:
        waiting.add(call)
    return waiting


def _all(waiting: Waiting) -> list[tuple[Call, ...]]:
    return [waiting.take() for _ in range(waiting.count) if waiting.count]


def test_nobody_waits() -> None:
    assert Waiting(8).take() == ()


def test_the_earliest_deadline_is_first_and_none_is_last_by_arrival(graph: Graph) -> None:
    none, late, other_none, early = (_call(graph, deadline=deadline) for deadline in (None, 30.0, None, 10.0))
    assert none.due == math.inf
    taken = _all(_waiting(none, late, other_none, early))
    assert taken == [(early,), (late,), (none,), (other_none,)]


def test_no_class_takes_the_turns_of_another(graph: Graph) -> None:
    """Of three, one that asks is next after the two others at the latest."""
    calls = [_call(graph, kind=kind) for kind in CostClass for _ in range(2)]
    taken = [call.cost_class for (call,) in _all(_waiting(*calls))]
    assert taken == [*CostClass, *CostClass]


def test_classes_take_turns_whatever_their_deadlines(graph: Graph) -> None:
    slow = [_call(graph, deadline=1.0, kind=SLOW) for _ in range(3)]
    fast = [_call(graph) for _ in range(3)]
    taken = [call for (call,) in _all(_waiting(*slow, *fast))]
    assert taken == [fast[0], slow[0], fast[1], slow[1], fast[2], slow[2]]


def test_a_class_alone_has_every_turn(graph: Graph) -> None:
    slow = [_call(graph, kind=SLOW) for _ in range(3)]
    assert _all(_waiting(*slow)) == [(call,) for call in slow]


def test_the_slow_class_is_passed_over_where_it_may_not(graph: Graph) -> None:
    slow, fast = _call(graph, kind=SLOW), _call(graph)
    waiting = _waiting(slow, fast)
    assert waiting.take(slow=False) == (fast,)
    assert waiting.take(slow=False) == ()
    assert waiting.take() == (slow,)


def test_as_many_go_along_as_there_is_room_for(graph: Graph) -> None:
    first, large, small, tiny = (_call(graph, rows=rows) for rows in (4, 6, 3, 1))
    waiting = _waiting(first, large, small, tiny, batch_rows=8)
    assert waiting.take() == (first, small, tiny)
    assert waiting.take() == (large,)


def test_company_comes_by_deadline_and_from_the_own_class_first(graph: Graph) -> None:
    first, other_class, late, soon = (
        _call(graph, deadline=1.0),
        _call(graph, deadline=2.0, kind=SLOW),
        _call(graph, deadline=4.0),
        _call(graph, deadline=3.0),
    )
    assert _waiting(first, other_class, late, soon, batch_rows=3).take() == (first, soon, late)
    assert _waiting(first, other_class, late, soon, batch_rows=4).take() == (first, soon, late, other_class)


def test_a_call_larger_than_a_batch_goes_by_itself(graph: Graph) -> None:
    large, small = _call(graph, rows=100), _call(graph)
    assert _all(_waiting(large, small, batch_rows=8)) == [(large,), (small,)]


def test_other_graphs_row_shapes_and_types_never_share(graph: Graph) -> None:
    with calling():
        doubles = call_of(graph, (np.zeros((1, 3)),))
    calls = (_call(graph), _call(Doubling().graph()), _call(graph, width=4), doubles)
    assert _all(_waiting(*calls, batch_rows=64)) == [(call,) for call in calls]


@pytest.mark.parametrize(
    "arrays",
    [
        (rows_of(0, 2), rows_of(0, 3)),
        (rows_of(0, 0), rows_of(0, 0)),
        (np.float32(1.0), np.float32(1.0)),
        (rows_of(0, 1), np.float32(1.0)),
    ],
)
def test_a_call_that_must_be_refused_goes_by_itself(graph: Graph, arrays: tuple[np.ndarray, ...]) -> None:
    calls = call_of(graph, arrays), call_of(graph, arrays)
    assert _all(_waiting(*calls, batch_rows=64)) == [(call,) for call in calls]


def test_who_was_overtaken_often_enough_goes_first(graph: Graph) -> None:
    patient = _call(graph)
    waiting = _waiting(patient)
    for turn in range(MOST_OVERTAKEN):
        urgent = _call(graph, deadline=float(turn))
        waiting.add(urgent)
        assert waiting.take() == (urgent,)
    waiting.add(_call(graph, deadline=0.0))
    assert waiting.take() == (patient,)


def test_one_that_left_is_neither_first_nor_along(graph: Graph) -> None:
    gone, stays, along_no_more = (_call(graph) for _ in range(3))
    waiting = _waiting(gone, stays, along_no_more, batch_rows=64)
    assert waiting.remove(gone)
    assert waiting.remove(along_no_more)
    assert not waiting.remove(gone)
    assert waiting.take() == (stays,)
