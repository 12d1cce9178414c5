"""One graph of one bundle: what computes it, which calls of it may share a batch, and how rows are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explaind.errors import BackendUnavailable

Arrays = tuple[NDArray[Any], ...]
Outputs = tuple[NDArray[Any], ...]
Compute = Callable[..., Outputs]
Observe = Callable[[int, int], None]
"""Told of each call of the backend how many calls of requests it held, and how many rows."""
Layout = tuple[tuple[tuple[int, ...], np.dtype[Any]], ...]
"""Row shape and type of each array."""


class Graph:
    """compute: all rows in, all rows out, each row for itself; called from several threads at once.

    closed: it answers nobody any more; who waits is told when its turn comes.
    """

    __slots__ = ("closed", "compute", "observe")

    def __init__(self, compute: Compute, observe: Observe) -> None:
        self.compute = compute
        self.observe = observe
        self.closed = False

    def together(self, calls: Sequence[Arrays]) -> list[Outputs]:
        """The outputs of each of several calls with the same layout, from one call of the backend: views of its rows.

        Raises what `compute` raises, BackendUnavailable where it returns other than one row for each.
        """
        counts = [len(arrays[0]) for arrays in calls]
        outputs = self.compute(*(np.concatenate(column) for column in zip(*calls, strict=True)))
        if any(len(output) != sum(counts) for output in outputs):
            raise BackendUnavailable(f"The backend returned {[len(output) for output in outputs]} rows for {counts}.")
        ends = np.cumsum(counts).tolist()
        return [tuple(output[end - count : end] for output in outputs) for count, end in zip(counts, ends, strict=True)]


def layout(arrays: Arrays) -> Layout | None:
    """None: not as many rows in each array, or none, so the call must be refused by itself and shares no batch."""
    counts = {array.shape[:1] for array in arrays}
    if len(counts) != 1 or counts <= {(), (0,)}:
        return None
    return tuple((array.shape[1:], array.dtype) for array in arrays)
