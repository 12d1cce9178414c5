"""Images as people send them, and as they should not: every outcome is pixels or a typed error."""

from __future__ import annotations

import io
import struct
import time
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from explaind.errors import (
    ImageTooLarge,
    ImageUndecodable,
    InvalidRequest,
    ParameterOutOfRange,
    PixelOutOfRange,
    ShapeMismatch,
)
from explaind.images import ImageLimits, prepare
from explaind.requests import ImageInput

GREY, COLOUR = (1, 28, 28), (3, 28, 28)
LIMITS = ImageLimits(max_bytes=1 << 20, max_pixels=1 << 20)
RAMP = np.arange(28 * 28).reshape(28, 28) % 251


def _encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def _grey(size: tuple[int, int] = (28, 28)) -> Image.Image:
    return Image.fromarray(RAMP.astype(np.uint8)).resize(size)


def _prepared(encoded: bytes, shape: tuple[int, int, int] = GREY, *, resize: bool = False) -> np.ndarray:
    return prepare(ImageInput(encoded=encoded, resize=resize, field="items[3].image"), shape, LIMITS)


def _refused(encoded: bytes, kind: type[InvalidRequest], match: str, *, resize: bool = False) -> None:
    with pytest.raises(kind, match=match) as caught:
        _prepared(encoded, resize=resize)
    assert caught.value.field == "items[3].image"


# ---- what is taken --------------------------------------------------------------------------------------------


def test_a_png_is_its_pixels() -> None:
    pixels = _prepared(_encoded(_grey()))
    assert pixels.dtype == np.float32
    assert pixels.flags.c_contiguous
    np.testing.assert_array_equal(pixels[0], RAMP.astype(np.float32) / np.float32(255))


@pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("WEBP", {"lossless": True})])
def test_jpeg_and_webp(kind: str, options: dict[str, Any]) -> None:
    smooth = Image.fromarray(np.add.outer(np.arange(28), np.arange(28)).astype(np.uint8) * 4)
    pixels = _prepared(_encoded(smooth.convert("RGB"), kind, **options))
    assert np.abs(pixels[0] - np.asarray(smooth) / 255).max() < 0.03


def test_colour_becomes_luma_and_grey_is_repeated() -> None:
    red = _encoded(Image.new("RGB", (28, 28), (255, 0, 0)))
    assert _prepared(red)[0, 0, 0] == pytest.approx(0.299, abs=0.003)
    np.testing.assert_array_equal(_prepared(red, COLOUR)[:, 0, 0], [1, 0, 0])
    repeated = _prepared(_encoded(_grey()), COLOUR)
    np.testing.assert_array_equal(repeated[0], repeated[2])


@pytest.mark.parametrize("mode", ["1", "P", "RGBA", "LA"])
def test_opaque_files_of_other_modes_are_converted(mode: str) -> None:
    white = Image.new("L", (28, 28), 255)
    np.testing.assert_allclose(_prepared(_encoded(white.convert(mode))), 1)


@pytest.mark.parametrize("shape", [GREY, COLOUR])
def test_exif_orientation_is_applied(shape: tuple[int, int, int]) -> None:
    turned = _grey()
    exif = turned.getexif()
    exif[0x0112] = 6  # the camera was held so that the picture must be turned clockwise
    pixels = _prepared(_encoded(turned, "PNG", exif=exif), shape)
    np.testing.assert_allclose(pixels[0], np.rot90(RAMP, -1) / 255, atol=1e-6)


def test_resize_is_done_when_asked() -> None:
    flat = _encoded(Image.new("L", (300, 140), 128))
    np.testing.assert_allclose(_prepared(flat, resize=True), 128 / 255, atol=1e-6)


def test_a_photograph_with_a_second_picture_is_taken_for_its_first() -> None:
    double = _encoded(_grey().convert("RGB"), "MPO", save_all=True, append_images=[_grey().convert("RGB")])
    assert _prepared(double).shape == GREY


# ---- what is refused ------------------------------------------------------------------------------------------


def test_a_wrong_size_names_both_sizes() -> None:
    _refused(_encoded(_grey((32, 20))), ShapeMismatch, "32×20 pixels, the model takes 28×28.*resize")


@pytest.mark.parametrize("content", [b"", b"hello", b"GIF89a" + bytes(50), b"RIFF1234WAVE", bytes(100)])
def test_what_is_no_image(content: bytes) -> None:
    _refused(content, ImageUndecodable, "not a PNG, JPEG or WebP")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_truncated_files(kind: str) -> None:
    whole = _encoded(_grey().convert("RGB"), kind)
    for keep in (12, 24, 25, 40, len(whole) // 2, len(whole) - 40):
        _refused(whole[:keep], ImageUndecodable, "damaged|not a")


def test_too_many_bytes() -> None:
    _refused(_encoded(_grey()) + bytes(1 << 20), ImageTooLarge, "bytes")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _bomb(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(1000), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


@pytest.mark.parametrize("side", [1100, 10_000, 20_000, 2**31 - 1])
def test_a_bomb_is_refused_from_its_header(side: int) -> None:
    start = time.process_time()
    _refused(_bomb(side), ImageTooLarge, "pixels", resize=True)
    assert time.process_time() - start < 1, "it was decoded"


def test_animations() -> None:
    for kind in ("PNG", "WEBP"):
        frames = [Image.new("RGB", (28, 28), (value, 0, 0)) for value in (0, 90, 200)]
        _refused(_encoded(frames[0], kind, save_all=True, append_images=frames[1:]), ImageUndecodable, "animated")


def test_sixteen_bits() -> None:
    _refused(_encoded(Image.fromarray((RAMP * 200).astype(np.uint16))), ImageUndecodable, "16 bits")


def test_cmyk() -> None:
    _refused(_encoded(Image.new("CMYK", (28, 28)), "JPEG"), ImageUndecodable, "CMYK")


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency(mode: str) -> None:
    see_through = _grey().convert(mode)
    see_through.putpixel((3, 3), (0,) * (len(mode) - 1) + (254,))
    _refused(_encoded(see_through), ImageUndecodable, "transparent")


def test_transparency_of_a_palette_and_of_a_colour_key() -> None:
    _refused(_encoded(_grey().convert("P"), transparency=0), ImageUndecodable, "transparent")
    _refused(_encoded(_grey(), transparency=0), ImageUndecodable, "transparent")


def test_a_file_for_a_model_of_four_channels() -> None:
    with pytest.raises(ShapeMismatch, match="4 channels"):
        _prepared(_encoded(_grey()), (4, 28, 28))


def test_no_image_at_all() -> None:
    with pytest.raises(ImageUndecodable, match="image is empty"):
        prepare(ImageInput(), GREY, LIMITS)


# ---- arrays ---------------------------------------------------------------------------------------------------


def _array(array: np.ndarray, *, resize: bool = False) -> np.ndarray:
    return prepare(ImageInput(array=array, resize=resize), GREY, LIMITS)


def test_arrays_are_taken_and_copied() -> None:
    floats = np.full(GREY, 0.5, np.float32)
    taken = _array(floats)
    floats[:] = 0
    assert taken.min() == 0.5
    np.testing.assert_array_equal(_array(np.full(GREY, 255, np.uint8)), 1)
    assert _array(np.full(GREY, 0.5)).dtype == np.float32
    assert _array(np.ones((28, 28, 1), np.float32).T).flags.c_contiguous


def test_arrays_are_resized_when_asked() -> None:
    resized = _array(np.random.default_rng(0).random((1, 60, 40), np.float32), resize=True)
    assert resized.shape == GREY
    assert 0 <= resized.min() < resized.max() <= 1


@pytest.mark.parametrize("shape", [(28, 28), (3, 28, 28), (1, 28, 27), (1, 0, 28), (), (1, 1, 28, 28)])
def test_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeMismatch, match=r"the model takes \[1, 28, 28\]"):
        _array(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(28, 28), (3, 28, 28), (1, 0, 28)])
def test_resize_does_not_mend_channels(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeMismatch):
        _array(np.zeros(shape, np.float32), resize=True)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.001, 1.001, 255])
def test_values_out_of_range(value: float) -> None:
    pixels = np.full(GREY, 0.5, np.float32)
    pixels[0, 5, 5] = value
    with pytest.raises(PixelOutOfRange, match=r"image holds .*\[0, 1\]") as caught:
        _array(pixels)
    assert caught.value.field == "image"


def test_other_types_and_too_many_pixels() -> None:
    with pytest.raises(ParameterOutOfRange, match="int64"):
        _array(np.zeros(GREY, np.int64))
    with pytest.raises(ImageTooLarge, match="2000×2000"):
        _array(np.zeros((1, 2000, 2000), np.uint8), resize=True)


# ---- whatever the bytes are -----------------------------------------------------------------------------------

_SEEDS = [_encoded(_grey().convert(mode), kind) for mode, kind in
          [("L", "PNG"), ("P", "PNG"), ("RGBA", "PNG"), ("RGB", "JPEG"), ("RGB", "WEBP")]]  # fmt: skip


def _survives(content: bytes) -> None:
    try:
        pixels = _prepared(content, resize=True)
    except InvalidRequest:
        return
    assert pixels.shape == GREY
    assert pixels.min() >= 0
    assert pixels.max() <= 1


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(_SEEDS), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=12), st.data())
def test_flipped_and_cut_bytes_never_leak(seed: bytes, flips: list[tuple[int, int]], data: st.DataObject) -> None:
    content = bytearray(seed)
    for position, value in flips:
        content[position % len(content)] = value
    _survives(bytes(content[: data.draw(st.integers(0, len(content)))]))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"RIFF\0\0\0\0WEBP"]), st.binary(max_size=300))
def test_random_bytes_never_leak(start: bytes, rest: bytes) -> None:
    _survives(start + rest)


def test_damaged_chunks_with_right_checksums_never_leak() -> None:
    random = np.random.default_rng(0)
    for _ in range(300):
        header = struct.pack(">IIBBBBB", *random.integers(1, 60, 2), *random.integers(0, 17, 5) % [17, 7, 2, 2, 3])
        chunks = [_chunk(name, random.bytes(int(random.integers(0, 40))))
                  for name in random.permutation([b"PLTE", b"tRNS", b"IDAT", b"eXIf", b"acTL", b"zTXt"])]  # fmt: skip
        _survives(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + b"".join(chunks) + _chunk(b"IEND", b""))
