"""Arrays and errors on the wire, both ways; and every kind of bytes that is neither."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save

from explaind import errors
from explaind.backends import torchserve_payload as wire
from explaind.errors import BackendUnavailable, InvalidRequest, ShapeMismatch


def test_arrays_come_back_as_they_were() -> None:
    generator = np.random.default_rng(0)
    sent = {"images": generator.random((3, 1, 4, 5), np.float32), "weights": np.zeros((0, 2), np.float32)}
    received = wire.decode_reply(wire.encode_arrays(sent))
    assert received.keys() == sent.keys()
    for name, array in sent.items():
        np.testing.assert_array_equal(received[name], array)


def test_views_and_doubles_are_sent_as_contiguous_float32() -> None:
    doubles: Any = np.arange(6.0).reshape(2, 3).T
    received = wire.decode_arrays(bytearray(wire.encode_arrays({"a": doubles})))
    assert received["a"].dtype == np.float32
    np.testing.assert_array_equal(received["a"], [[0, 3], [1, 4], [2, 5]])


@pytest.mark.parametrize("content", [b"", b"\x00", b"not safetensors at all", b"\xff" * 40, save({})[:-1]])
def test_other_bytes_are_a_bad_payload(content: bytes) -> None:
    with pytest.raises(InvalidRequest) as caught:
        wire.decode_arrays(content)
    assert caught.value.field == "payload"


@pytest.mark.parametrize("dtype", [np.float64, np.int32, np.uint8, np.float16])
def test_other_types_are_a_bad_payload(dtype: type[np.generic]) -> None:
    with pytest.raises(InvalidRequest, match="float32"):
        wire.decode_arrays(save({"images": np.zeros((1, 2), dtype)}))


def test_a_truncated_payload_is_refused() -> None:
    content = wire.encode_arrays({"images": np.zeros((2, 3), np.float32)})
    for size in range(len(content)):
        with pytest.raises(InvalidRequest):
            wire.decode_arrays(content[:size])


@given(st.binary(max_size=200))
def test_no_reply_raises_anything_but_ours(content: bytes) -> None:
    with pytest.raises(BackendUnavailable):
        wire.decode_reply(content)


@pytest.mark.parametrize(
    "kind", [errors.InvalidRequest, errors.ShapeMismatch, errors.ParameterOutOfRange, errors.PixelOutOfRange]
)
def test_a_bad_request_comes_back_as_its_own_kind(kind: type[InvalidRequest]) -> None:
    with pytest.raises(kind) as caught:
        wire.decode_reply(wire.encode_error(kind("Say something else.", field="images")))
    assert type(caught.value) is kind
    assert (caught.value.field, caught.value.message) == ("images", "Say something else.")


@pytest.mark.parametrize("error", [errors.BackendUnavailable("out of memory"), errors.ModelNotFound("gone")])
def test_any_other_error_is_the_backends(error: errors.ExplaindError) -> None:
    with pytest.raises(BackendUnavailable) as caught:
        wire.decode_reply(wire.encode_error(error))
    assert error.message in caught.value.message
    assert caught.value.metadata == {"backend": "torchserve", "cause": "worker_error"}


def test_an_error_with_a_name_nobody_knows_is_the_backends() -> None:
    class Newer(ShapeMismatch):
        reason = "NEWER"

    content = wire.encode_error(Newer("x", field="y")).replace(b"NEWER", b"OLDER")
    with pytest.raises(BackendUnavailable):
        wire.decode_reply(content)
