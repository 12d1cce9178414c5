"""Who sleeps within a budget is woken by its cancellation, whenever that comes."""

from __future__ import annotations

import threading

import pytest

from explaind.errors import Cancelled
from explaind.explanations.budget import Budget


def test_cancelling_wakes_who_waits() -> None:
    budget, woken, sleeping = Budget(), threading.Event(), threading.Event()

    def sleep() -> None:
        with budget.waking(woken.set):
            sleeping.set()
            woken.wait(60)

    thread = threading.Thread(target=sleep)
    thread.start()
    assert sleeping.wait(60)
    budget.cancel()
    thread.join(60)
    assert woken.is_set()
    with pytest.raises(Cancelled):
        budget.raise_if_cancelled()


def test_one_cancelled_already_wakes_at_once() -> None:
    budget, woken = Budget(), threading.Event()
    budget.cancel()
    with budget.waking(woken.set):
        assert woken.is_set()


def test_who_waits_no_more_is_not_woken() -> None:
    budget, first, second = Budget(), threading.Event(), threading.Event()
    with budget.waking(second.set):
        with budget.waking(first.set):
            pass
        budget.cancel()
    assert (first.is_set(), second.is_set()) == (False, True)


def test_an_error_within_leaves_nobody_behind() -> None:
    budget, woken = Budget(), threading.Event()
    with pytest.raises(KeyError), budget.waking(woken.set):
        raise KeyError
    budget.cancel()
    assert not woken.is_set()
