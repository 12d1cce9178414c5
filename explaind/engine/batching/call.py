"""One call of a model that waits for its turn."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, field

from explaind.backends.call_context import current
from explaind.engine.batching.graph import Arrays, Graph, Layout, Outputs, layout
from explaind.explanations.budget import Budget
from explaind.requests import CostClass


@dataclass(slots=True, eq=False, kw_only=True)
class Call:
    """due: deadline on `time.monotonic`, infinite without one. alone: shares no batch.

    What becomes of it is one of `batch` (it has a slot, and these calls, itself first, to compute) and `outputs`
    (another call's thread computed it); `settled` is set then, and when it is cancelled. gone: its thread waits no
    more.
    """

    graph: Graph
    arrays: Arrays
    layout: Layout | None
    rows: int
    budget: Budget
    cost_class: CostClass
    due: float
    alone: bool
    settled: threading.Event = field(default_factory=threading.Event)
    batch: tuple[Call, ...] = ()
    outputs: Outputs | None = None
    gone: bool = False

    def fits(self, other: Call) -> bool:
        """Whether the two may be computed as one."""
        return self.graph is other.graph and self.layout == other.layout and not self.alone and not other.alone


def call_of(graph: Graph, arrays: Arrays) -> Call:
    """Made by this thread's caller (see `call_context`)."""
    context, how = current(), layout(arrays)
    return Call(
        graph=graph,
        arrays=arrays,
        layout=how,
        rows=len(arrays[0]) if how else 0,
        budget=context.budget,
        cost_class=context.cost_class,
        due=math.inf if context.deadline is None else context.deadline,
        alone=how is None,
    )
