from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from explaind.v1 import explanation_pb2 as pb
from explaind_client import to_array, to_tensor
from explaind_client.errors import ImageTooLarge, ImageUndecodable, InvalidRequest, ShapeMismatch
from explaind_client.images import MAX_IMAGE_BYTES, to_batch, to_image


def test_path_and_bytes_are_sent_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"picture")
    assert to_image(tmp_path / "a.png").encoded == b"picture"
    assert to_image(str(tmp_path / "a.png")).encoded == b"picture"
    assert to_image(b"picture", resize=True) == pb.Image(encoded=b"picture", resize=True)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(1, 4, 3), (3, 4, 5), (7,), ()])
def test_tensor_comes_back(dtype: type, shape: tuple[int, ...]) -> None:
    array = (np.random.default_rng(1).random(shape) * 200).astype(dtype)
    back = to_array(to_tensor(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_floats_of_any_width_and_order_become_float32() -> None:
    array = np.asfortranarray(np.linspace(0, 1, 12).reshape(3, 4), dtype=">f8")
    np.testing.assert_array_equal(to_array(to_tensor(array)), array.astype(np.float32))


def test_grey_array_gets_its_channel() -> None:
    assert list(to_image(np.zeros((28, 20), np.uint8)).tensor.shape) == [1, 28, 20]


@pytest.mark.parametrize("shape", [(28,), (1, 1, 28, 28), (28, 28, 3)])
def test_array_that_is_no_image_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeMismatch) as caught:
        to_image(np.zeros(shape, np.float32))
    assert caught.value.field == "image.tensor.shape"


@pytest.mark.parametrize("dtype", [np.int64, bool, complex, object])
def test_pixels_of_a_wrong_kind_are_refused(dtype: type) -> None:
    with pytest.raises(InvalidRequest, match="convert"):
        to_image(np.zeros((4, 4), dtype))


def test_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ImageUndecodable, match="nowhere"):
        to_image(tmp_path / "nowhere.png")


def test_too_large_a_file_is_refused_without_reading_it(tmp_path: Path) -> None:
    with (tmp_path / "huge.png").open("wb") as file:
        file.truncate(MAX_IMAGE_BYTES + 1)
    with pytest.raises(ImageTooLarge, match="16"):
        to_image(tmp_path / "huge.png")
    with pytest.raises(ImageTooLarge):
        to_image(bytes(MAX_IMAGE_BYTES + 1))


def test_what_is_no_image_at_all_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="list"):
        to_image([1, 2, 3])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "tensor",
    [
        pb.Tensor(shape=[2, 2], dtype=pb.DATA_TYPE_UINT8, values=b"123"),
        pb.Tensor(shape=[-1, -3], dtype=pb.DATA_TYPE_UINT8, values=b"123"),
        pb.Tensor(shape=[3], values=b"123"),
        pb.Tensor(shape=[2**62, 4], dtype=pb.DATA_TYPE_FLOAT32),
    ],
)
def test_tensor_that_contradicts_itself_is_refused(tensor: pb.Tensor) -> None:
    with pytest.raises(InvalidRequest):
        to_array(tensor)


def test_batches_of_arrays_and_of_files() -> None:
    tensor, encoded = to_batch(np.zeros((5, 28, 28), np.uint8))
    assert tensor is not None and list(tensor.shape) == [5, 1, 28, 28] and not encoded
    tensor, encoded = to_batch([np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)])
    assert tensor is not None
    np.testing.assert_array_equal(to_array(tensor)[:, 0, 0, 0], [1, 0])
    assert to_batch([b"a", b"b"]) == (None, (b"a", b"b"))


@pytest.mark.parametrize(
    "images",
    [
        [],
        [b"a", np.zeros((2, 2), np.uint8)],
        [np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8)],
        [np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.float32)],
        np.zeros((2, 2), np.uint8),
    ],
    ids=["empty", "mixed", "shapes", "types", "one"],
)
def test_batch_that_is_none_is_refused(images: list[bytes]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        to_batch(images)
    assert caught.value.field == "images"
