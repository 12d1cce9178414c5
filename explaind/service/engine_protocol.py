"""What the service asks of an engine. `explaind.engine.Engine` is the one that is served."""

from __future__ import annotations

from typing import Protocol

from explaind.explanations.budget import Budget
from explaind.explanations.types import Explanation
from explaind.requests import (
    BackendState,
    CompareRequest,
    CompareResult,
    CostClass,
    ExplanationRequest,
    ModelDescription,
    ModelSummary,
    ScoreRequest,
    ScoreResult,
    TraverseRequest,
    TraverseResult,
)


class ServedEngine(Protocol):
    """All methods are thread-safe. `check`, `list_models`, `waiting_models`, `describe`, `cost_class`,
    `usual_seconds` and `backend_states` answer from memory, the others block."""

    def explain(self, request: ExplanationRequest, budget: Budget, *, checked: bool = False) -> Explanation:
        """checked: `check` has let it pass just now."""
        ...

    def check(self, request: ExplanationRequest, budget: Budget) -> None:
        """Raises what `explain` would before it looks at the image."""
        ...

    def score(self, request: ScoreRequest, budget: Budget) -> ScoreResult: ...

    def compare(self, request: CompareRequest, budget: Budget) -> CompareResult: ...

    def traverse(self, request: TraverseRequest, budget: Budget) -> TraverseResult: ...

    def cost_class(self, request: ExplanationRequest) -> CostClass: ...

    def usual_seconds(self, request: ExplanationRequest) -> float:
        """What `explain` computes without waiting for anybody; infinite where that cannot be told, or may wait."""
        ...

    def list_models(self) -> tuple[ModelSummary, ...]: ...

    def waiting_models(self) -> tuple[str, ...]:
        """Names of models that are not listed only since no backend has served them yet."""
        ...

    def describe(self, model: str, version: str) -> ModelDescription: ...

    def backend_states(self) -> tuple[BackendState, ...]: ...

    def warm(self) -> None:
        """Returns once a real request would be served; raises Unavailable while none would."""
        ...

    def stop(self) -> None:
        """Lets a `warm` under way end soon; requests go on."""
        ...

    def close(self) -> None: ...
