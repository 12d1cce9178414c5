"""Deadlines and cancellation: refused at once, cut short, or the best so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from explaind.engine import Engine
from explaind.errors import Cancelled, DeadlineTooShort
from explaind.explanations.budget import Budget
from explaind.explanations.types import (
    LatentRankingParameters,
    PathMaskOutcome,
    PathMaskParameters,
    RankingMethod,
    Solver,
)
from explaind.requests import ExplanationRequest, ImageInput, ScoreRequest
from tests.switched_backend import Switch


def test_cancelled_before_and_within(
    engine: Engine, open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    budget = Budget()
    switch = Switch()
    cancelling = open_engine(store, switch)
    cancelling.warm()
    switch.before = budget.cancel
    request = ExplanationRequest(model="mnist", image=digit, path_mask=PathMaskParameters(solver=Solver.REFERENCE))
    with pytest.raises(Cancelled):
        cancelling.explain(request, budget)
    with pytest.raises(Cancelled):
        engine.explain(request, budget)
    with pytest.raises(Cancelled):
        engine.score(ScoreRequest(model="mnist", images=(digit,)), budget)


def test_a_deadline_that_has_passed(engine: Engine, digit: ImageInput) -> None:
    late = Budget(deadline=time.monotonic() - 1)
    with pytest.raises(DeadlineTooShort) as caught:
        engine.explain(ExplanationRequest(model="mnist", image=digit), late)
    assert "estimate_seconds" in caught.value.metadata
    with pytest.raises(DeadlineTooShort):
        engine.check(ExplanationRequest(model="mnist", image=digit), late)
    with pytest.raises(DeadlineTooShort) as caught:
        engine.explain(ExplanationRequest(model="mnist", image=digit), late, checked=True)
    assert "estimate_seconds" in caught.value.metadata
    with pytest.raises(DeadlineTooShort):
        engine.score(ScoreRequest(model="mnist", images=(digit,)), late)


def test_once_sobol_is_known_to_take_long_a_short_deadline_is_refused_at_once(
    open_engine: Callable[..., Engine], store: Path, digit: ImageInput
) -> None:
    switch = Switch()
    engine = open_engine(store, switch)
    engine.warm()
    sobol = ExplanationRequest(
        model="mnist", image=digit, latent_ranking=LatentRankingParameters(method=RankingMethod.SOBOL)
    )
    for _ in range(5):
        engine.explain(sobol, Budget())
    switch.calls = 0
    with pytest.raises(DeadlineTooShort) as caught:
        engine.explain(sobol, Budget(deadline=time.monotonic() + 0.002))
    assert float(caught.value.metadata["estimate_seconds"]) > 0.002
    assert switch.calls == 0, "nothing was computed"


def test_a_path_mask_near_its_deadline_is_the_best_so_far(engine: Engine, digit: ImageInput) -> None:
    request = ExplanationRequest(model="mnist", image=digit, path_mask=PathMaskParameters(solver=Solver.REFERENCE))
    answer = engine.explain(request, Budget(deadline=time.monotonic() + 1.5))
    assert answer.path_mask is not None
    assert answer.path_mask.outcome in (PathMaskOutcome.BEST_SO_FAR, PathMaskOutcome.NO_MORPH_FOUND)
