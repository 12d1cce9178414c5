"""Tensors: a shape, a data type and little-endian bytes, against NumPy arrays."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from explaind.errors import ParameterOutOfRange, ShapeMismatch
from explaind.v1 import explanation_pb2

ImageDtype = np.dtype[Any]
DTYPES: dict[int, ImageDtype] = {
    explanation_pb2.DATA_TYPE_FLOAT32: np.dtype("<f4"),
    explanation_pb2.DATA_TYPE_UINT8: np.dtype("u1"),
}


def array_from_proto(tensor: explanation_pb2.Tensor, *, rank: int, field: str) -> NDArray[Any]:
    """The tensor as a read-only array of `rank` dimensions, float32 or uint8, over one copy of the message's bytes.

    Raises ParameterOutOfRange for `field.dtype`, ShapeMismatch for `field.shape`: wrong rank, a dimension below 1,
    a shape that does not fit the number of bytes (a product that overflows 64 bits included).
    """
    dtype = DTYPES.get(tensor.dtype)
    if dtype is None:
        raise ParameterOutOfRange(
            f"{field}.dtype is {tensor.dtype}; send DATA_TYPE_FLOAT32 or DATA_TYPE_UINT8.", field=f"{field}.dtype"
        )
    values = tensor.values  # once: every access copies the bytes out of the message
    shape = _checked_shape(tuple(tensor.shape), rank, len(values), dtype.itemsize, f"{field}.shape")
    return np.ndarray(shape, dtype, values)


def _checked_shape(shape: tuple[int, ...], rank: int, given: int, item_size: int, field: str) -> tuple[int, ...]:
    if len(shape) != rank:
        raise ShapeMismatch(f"{field} has {len(shape)} dimensions; send {rank}.", field=field)
    if min(shape) < 1:
        raise ShapeMismatch(f"{field} is {list(shape)}; every dimension must be at least 1.", field=field)
    wanted = prod(shape) * item_size  # Python integers: no overflow
    if wanted != given:
        raise ShapeMismatch(
            f"{field} {list(shape)} needs {wanted} bytes but values holds {given}; make them agree.", field=field
        )
    return shape


def image_to_proto(image: NDArray[np.floating], dtype: ImageDtype) -> explanation_pb2.Tensor:
    """image in [0, 1], of any shape; as uint8 rounded to 1/255."""
    if dtype == np.uint8:
        return tensor_to_proto(np.rint(255.0 * np.clip(image, 0.0, 1.0)).astype(np.uint8))
    return tensor_to_proto(image)


def tensor_to_proto(array: NDArray[Any]) -> explanation_pb2.Tensor:
    """uint8 arrays as UINT8, all others as FLOAT32, C order."""
    if array.dtype == np.uint8:
        number, values = explanation_pb2.DATA_TYPE_UINT8, array
    else:
        number, values = explanation_pb2.DATA_TYPE_FLOAT32, array.astype("<f4", copy=False)
    return explanation_pb2.Tensor(shape=array.shape, dtype=number, values=values.tobytes())
