"""Images and tensors: paths, bytes and NumPy arrays to messages, and messages to NumPy arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from explaind.v1 import explanation_pb2 as pb
from explaind_client.errors import ImageTooLarge, ImageUndecodable, InvalidRequest, ShapeMismatch

PixelArray = NDArray[np.uint8] | NDArray[np.floating]
ImageLike = str | PathLike[str] | bytes | PixelArray | pb.Image
"""A path, the bytes of a PNG, JPEG or WebP, an array (H×W or C×H×W), or a ready message."""

MAX_IMAGE_BYTES = 16 * 1024 * 1024
"""What a daemon takes, encoded."""
_DTYPES = {pb.DATA_TYPE_FLOAT32: "<f4", pb.DATA_TYPE_UINT8: "u1"}


def to_image(image: ImageLike, *, resize: bool = False) -> pb.Image:
    """The message for one image.

    image: a path; encoded bytes; or an array, H×W or C×H×W, uint8 in [0, 255] or float in [0, 1]. resize: let the
    daemon bring a wrong size to the model's.

    Raises ImageUndecodable where the file cannot be read, ImageTooLarge over 16 MiB, ShapeMismatch or InvalidRequest
    for an array that is no image.
    """
    if isinstance(image, pb.Image):
        return image
    if isinstance(image, np.ndarray):
        return pb.Image(tensor=to_tensor(_channels_first(image)), resize=resize)
    return pb.Image(encoded=read_encoded(image), resize=resize)


def read_encoded(image: str | PathLike[str] | bytes) -> bytes:
    """The bytes of an encoded image. Only read and measured here; the daemon decodes and judges them."""
    if isinstance(image, bytes | bytearray | memoryview):
        return _checked_size(bytes(image), "The image")
    if not isinstance(image, str | PathLike):
        raise InvalidRequest(
            f"An image is a path, bytes or a NumPy array, not {type(image).__name__}.", metadata={"field": "image"}
        )
    path = Path(image)
    try:
        size = path.stat().st_size
        return path.read_bytes() if size <= MAX_IMAGE_BYTES else _refuse_size(str(path), size)
    except OSError as exc:
        raise ImageUndecodable(
            f"{path} cannot be read: {exc.strerror or exc}; check the path.", metadata={"field": "image"}
        ) from exc


def to_tensor(array: PixelArray) -> pb.Tensor:
    """array: uint8, or any float (sent as float32); any shape."""
    if array.dtype == np.uint8:
        dtype, values = pb.DATA_TYPE_UINT8, np.ascontiguousarray(array)
    elif np.issubdtype(array.dtype, np.floating):
        dtype, values = pb.DATA_TYPE_FLOAT32, np.ascontiguousarray(array, dtype="<f4")
    else:
        raise InvalidRequest(
            f"Pixels are uint8 in [0, 255] or floats in [0, 1], not {array.dtype}; convert the array.",
            metadata={"field": "image.tensor.dtype"},
        )
    return pb.Tensor(shape=array.shape, dtype=dtype, values=values.tobytes())


def to_array(tensor: pb.Tensor) -> NDArray[np.float32] | NDArray[np.uint8]:
    """The array of a tensor message, of its shape and type; read-only, for it shares the message's bytes.

    Raises InvalidRequest where shape, type and bytes disagree.
    """
    code, shape = _DTYPES.get(tensor.dtype, ""), tuple(tensor.shape)
    if not code or any(n < 0 for n in shape) or math.prod(shape) * int(code[-1]) != len(tensor.values):
        raise InvalidRequest(
            f"A tensor of shape {shape} does not have {len(tensor.values)} bytes of type {tensor.dtype}.",
            metadata={"field": "tensor"},
        )
    array: NDArray[np.float32] | NDArray[np.uint8] = np.frombuffer(tensor.values, dtype=code).reshape(shape)
    return array


def to_batch(images: Sequence[ImageLike] | PixelArray) -> tuple[pb.Tensor | None, tuple[bytes, ...]]:
    """(batch tensor, ()) for arrays, (None, encoded) for files and bytes; a mixture is refused.

    images: an array N×C×H×W or N×H×W, or a sequence of what `to_image` takes.
    """
    if isinstance(images, np.ndarray):
        return to_tensor(_batch_of(images)), ()
    if len(images) == 0:
        raise InvalidRequest("There is no image to score; give at least one.", metadata={"field": "images"})
    arrays: list[PixelArray] = [_channels_first(image) for image in images if isinstance(image, np.ndarray)]
    if not arrays:
        return None, tuple(read_encoded(image) for image in images)  # type: ignore[arg-type]  # checked there
    if len(arrays) < len(images):
        raise InvalidRequest("A batch holds arrays or encoded images, not both.", metadata={"field": "images"})
    if len({(array.shape, array.dtype) for array in arrays}) > 1:
        raise ShapeMismatch("The arrays of a batch must have one shape and type.", metadata={"field": "images"})
    tensors = [to_tensor(array) for array in arrays]
    values = b"".join(tensor.values for tensor in tensors)
    return pb.Tensor(shape=(len(arrays), *arrays[0].shape), dtype=tensors[0].dtype, values=values), ()


def _batch_of(images: PixelArray) -> PixelArray:
    if images.ndim == 3:
        return images[:, np.newaxis]
    if images.ndim == 4:
        return images
    raise ShapeMismatch(
        f"A batch is N×C×H×W or N×H×W; this array has {images.ndim} dimensions.", metadata={"field": "images"}
    )


def _channels_first(array: PixelArray) -> PixelArray:
    if array.ndim == 2:
        return array[np.newaxis]
    if array.ndim == 3:
        if array.shape[2] in (3, 4) and array.shape[0] not in (1, 3, 4):
            raise ShapeMismatch(
                f"This array is {array.shape}, channels last; give channels first: array.transpose(2, 0, 1).",
                metadata={"field": "image.tensor.shape"},
            )
        return array
    raise ShapeMismatch(
        f"An image is H×W or C×H×W; this array has {array.ndim} dimensions.", metadata={"field": "image.tensor.shape"}
    )


def _checked_size(data: bytes, name: str) -> bytes:
    return data if len(data) <= MAX_IMAGE_BYTES else _refuse_size(name, len(data))


def _refuse_size(name: str, size: int) -> bytes:
    # Larger ones may not fit the transport, which would blame the message instead of the image.
    raise ImageTooLarge(
        f"{name} has {size / 2**20:.1f} MiB; at most 16 are taken. Make it smaller.",
        metadata={"field": "image", "size_bytes": str(size)},
    )
