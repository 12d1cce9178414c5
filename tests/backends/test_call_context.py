"""For whom this thread computes."""

from __future__ import annotations

from explaind.backends.call_context import calling, current
from explaind.explanations.budget import Budget
from explaind.requests import CostClass


def test_a_budget_travels_with_its_deadline_and_cost_class() -> None:
    budget = Budget(deadline=5.0)
    with calling(request_id="a", budget=budget, cost_class=CostClass.SLOW):
        assert current().budget is budget
        assert (current().deadline, current().cost_class) == (5.0, CostClass.SLOW)
    assert (current().deadline, current().cost_class) == (None, CostClass.FAST)


def test_a_deadline_alone_makes_a_budget() -> None:
    with calling(deadline=5.0):
        assert current().budget.deadline == 5.0


def test_nobody_is_never_cancelled() -> None:
    current().budget.raise_if_cancelled()
    assert current().budget.remaining() == float("inf")
