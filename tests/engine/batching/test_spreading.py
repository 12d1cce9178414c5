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
    ("rows", "idle", "pieces"), [(31, 4, 1), (32, 1, 1), (32, 2, 2), (32, 8, 2), (100, 3, 3), (0, 4, 1), (100, 0, 1)]
)
def test_a_piece_has_enough_rows_and_a_core_to_itself(rows: int, idle: int, pieces: int) -> None:
    assert Spreading(16, 1).pieces(rows, idle) == pieces


def test_without_least_rows_nothing_is_spread() -> None:
    assert Spreading(0, 1).pieces(1000, 8) == 1


@pytest.mark.parametrize("pieces", [2, 3, 7])
def test_the_rows_come_back_in_their_order(pieces: int) -> None:
    arrays = _numbered(50)
    got, whole = Spreading(1, 8).run(_summed, arrays, pieces), _summed(*arrays)
    for mine, theirs in zip(got, whole, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_pieces_compute_at_once_and_for_the_same_caller() -> None:
    together, seen = threading.Barrier(2, timeout=PATIENCE), []

    def run(rows: NDArray[Any]) -> Outputs:
        together.wait()
        seen.append((current().request_id, current().cost_class, threading.current_thread()))
        return (rows,)

    with calling(request_id="r", budget=Budget(), cost_class=CostClass.SLOW):
        Spreading(1, 1).run(run, (np.arange(4.0),), 2)
    assert {(request, kind) for request, kind, _ in seen} == {("r", CostClass.SLOW)}
    assert len({thread for *_, thread in seen}) == 2


@pytest.mark.parametrize("bad", [0.0, 3.0])
def test_an_error_in_any_piece_is_the_calls(bad: float) -> None:
    ended = []

    def run(rows: NDArray[Any]) -> Outputs:
        ended.append(len(rows))
        if bad in rows:
            raise ValueError("broken")
        return (rows,)

    with pytest.raises(ValueError, match="broken"):
        Spreading(1, 1).run(run, (np.arange(4.0),), 2)
    assert ended == [2, 2]


def test_only_slots_that_nobody_needs_are_shared() -> None:
    batcher = Batcher(slots=3, batch_rows=64, spread_rows=1)
    assert batcher.idle == 2  # one is left to the fast class
    with occupied(batcher, 1):
        assert batcher.idle == 1
    with occupied(batcher, 3):
        assert batcher.spreading.pieces(100, batcher.idle) == 1
    assert_all_free(batcher, 3)
    assert Batcher(slots=1, batch_rows=64, spread_rows=1).idle == 1
