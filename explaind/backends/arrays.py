"""Arrays at a model's boundary: checked shapes, float32, and large batches in bounded pieces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explaind.errors import ShapeMismatch
from explaind.explanations.models import FloatArray

CHUNK_ROWS = 128
"""Rows computed at once. Too large: memory grows with the batch (4,000 MNIST images through all graphs: peak of
the process 377 MiB at 512 rows, 190 MiB at 128, in the same time); too small: the calls' own cost shows."""


def checked(name: str, array: NDArray[Any], row_shape: tuple[int, ...]) -> FloatArray:
    """The array as float32, C-contiguous. Raises ShapeMismatch unless its shape is (B, *row_shape), B ≥ 1."""
    if array.shape[1:] != row_shape or array.ndim != len(row_shape) + 1 or not len(array):
        raise ShapeMismatch(
            f"{name} has shape {array.shape}; give (B, {', '.join(map(str, row_shape))}), B at least 1.", field=name
        )
    return np.ascontiguousarray(array, dtype=np.float32)


def in_chunks(
    run: Callable[..., Sequence[FloatArray]], arrays: Sequence[FloatArray], rows: int = CHUNK_ROWS
) -> list[FloatArray]:
    """`run` over at most `rows` rows at a time, its outputs put together again.

    All arrays have the same B ≥ 1. Raises ShapeMismatch where they differ.
    """
    count = len(arrays[0])
    if len(arrays) > 1 and any(len(array) != count for array in arrays):
        raise ShapeMismatch(f"the arrays have {[len(array) for array in arrays]} rows; give as many.", field="weights")
    if count <= rows:
        return list(run(*arrays))
    parts = [run(*(array[start : start + rows] for array in arrays)) for start in range(0, count, rows)]
    return [np.concatenate(column) for column in zip(*parts, strict=True)]
