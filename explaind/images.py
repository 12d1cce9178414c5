"""One image as the caller sent it made into what a model takes: float32 (C, H, W) in [0, 1].

What is taken, what is converted and what is refused:

- PNG, JPEG and WebP of 8 bits a channel; the header decides on format, size, depth and frames before any decoding.
- Grey, bilevel, palette and RGB; RGBA and grey with alpha where every pixel is opaque. EXIF orientation is applied.
- An RGB file for a grey model becomes its luma (ITU-R 601); a grey one for an RGB model is repeated.
- Refused: transparency (what lies behind is not ours to choose), 16 bits, CMYK, animations, other channel counts.
- A wrong size is refused unless `resize` was asked: then stretched to the model's size, antialiased.
- Arrays: uint8 is divided by 255, floats must be finite and in [0, 1]; channels must be the model's.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from explaind.errors import (
    ExplaindError,
    ImageTooLarge,
    ImageUndecodable,
    ParameterOutOfRange,
    PixelOutOfRange,
    ShapeMismatch,
)
from explaind.explanations.models import FloatArray
from explaind.requests import ImageInput

ImageShape = tuple[int, int, int]

_MODES = {"1", "L", "P", "RGB", "LA", "PA", "RGBA"}
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_BIT_DEPTH = 24  # IHDR comes first: width at 16, height at 20, depth at 24


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """max_bytes of an encoded image; max_pixels: width × height of any image."""

    max_bytes: int
    max_pixels: int


def prepare(image: ImageInput, image_shape: ImageShape, limits: ImageLimits) -> FloatArray:
    """The image as float32 (C, H, W) in [0, 1], contiguous, not shared with the caller's array.

    Raises InvalidRequest's kinds, each with `image.field`: ImageUndecodable, ImageTooLarge, ShapeMismatch,
    PixelOutOfRange, ParameterOutOfRange. Nothing else, whatever the bytes are.
    """
    if image.encoded is not None:
        return _from_encoded(image, image.encoded, image_shape, limits)
    if image.array is not None:
        return _from_array(image, image.array, image_shape, limits)
    raise ImageUndecodable(f"{image.field} is empty: send an encoded image or a tensor.", field=image.field)


def digest(image: FloatArray) -> str:
    """SHA-256 (hex) of the float32 pixels in C, H, W order, little-endian: what the model saw, whatever was sent."""
    return hashlib.sha256(np.ascontiguousarray(image, "<f4").data).hexdigest()


# ---- encoded images -----------------------------------------------------------------------------------------


def _from_encoded(image: ImageInput, encoded: bytes, image_shape: ImageShape, limits: ImageLimits) -> FloatArray:
    if len(encoded) > limits.max_bytes:
        raise ImageTooLarge(
            f"{image.field} has {len(encoded)} bytes, more than the {limits.max_bytes} allowed: send a smaller one.",
            field=image.field,
            metadata={"max_bytes": str(limits.max_bytes)},
        )
    kind = _format_of(encoded, image.field)
    with _translated(image.field), Image.open(io.BytesIO(encoded), formats=[kind]) as opened:
        _check_header(opened, encoded, image, image_shape, limits)
        picture = _opaque(ImageOps.exif_transpose(opened), image.field).convert(_mode_for(image_shape, image.field))
        return _scaled(np.asarray(_of_size(picture, image, image_shape)))


def _format_of(encoded: bytes, field: str) -> str:
    if encoded.startswith(_PNG_SIGNATURE):
        return "PNG"
    if encoded.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP":
        return "WEBP"
    raise ImageUndecodable(f"{field} is not a PNG, JPEG or WebP file: send one of these or a tensor.", field=field)


@contextmanager
def _translated(field: str) -> Iterator[None]:
    """Pillow raises whatever its parsers meet (OSError, SyntaxError, struct.error, KeyError …): all of it means that
    these bytes are no image, so this one boundary catches everything that is not ours already."""
    try:
        yield
    except ExplaindError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLarge(f"{field} has too many pixels: send a smaller one.", field=field) from error
    except Exception as error:
        raise ImageUndecodable(
            f"{field} is damaged or truncated and cannot be decoded: send the whole file.", field=field
        ) from error


def _check_header(
    opened: Image.Image, encoded: bytes, image: ImageInput, image_shape: ImageShape, limits: ImageLimits
) -> None:
    """Everything that can be refused without decoding a pixel."""
    _check_pixel_count(opened.size, image.field, limits)
    kind = opened.format
    if kind == "PNG" and encoded[_PNG_BIT_DEPTH] == 16:
        raise _unfit(image.field, "has 16 bits a channel: save it with 8 or send a float tensor")
    # A JPEG with more than one picture (MPO) is a photograph with a preview or depth map: the first one is it.
    if kind in ("PNG", "WEBP") and getattr(opened, "n_frames", 1) > 1:
        raise _unfit(image.field, "is animated: send one frame")
    if opened.mode not in _MODES:
        raise _unfit(image.field, f"has colour mode {opened.mode}: save it as grey or RGB with 8 bits a channel")
    height, width = image_shape[1:]
    if not image.resize and opened.size not in ((width, height), (height, width)):
        raise _wrong_size(image.field, opened.size, image_shape)


def _check_pixel_count(size: tuple[int, int], field: str, limits: ImageLimits) -> None:
    width, height = size
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"{field} has {width}×{height} pixels, more than the {limits.max_pixels} allowed: send a smaller one.",
            field=field,
            metadata={"max_pixels": str(limits.max_pixels)},
        )


def _opaque(picture: Image.Image, field: str) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    with_alpha = picture.convert("RGBA")
    if with_alpha.getchannel("A").getextrema()[0] != 255:
        raise _unfit(field, "has transparent pixels: lay it on the background it belongs on")
    return with_alpha.convert("RGB") if picture.mode not in ("1", "L", "LA") else with_alpha.convert("L")


def _mode_for(image_shape: ImageShape, field: str) -> str:
    modes = {1: "L", 3: "RGB"}
    if image_shape[0] not in modes:
        raise ShapeMismatch(
            f"{field} is a file, the model takes {image_shape[0]} channels: send a tensor of shape {image_shape}.",
            field=field,
        )
    return modes[image_shape[0]]


def _of_size(picture: Image.Image, image: ImageInput, image_shape: ImageShape) -> Image.Image:
    wanted = (image_shape[2], image_shape[1])
    if picture.size == wanted:
        return picture
    if not image.resize:
        raise _wrong_size(image.field, picture.size, image_shape)
    # Pillow's bilinear filter widens with the reduction: antialiased, and never outside the range of the pixels.
    return picture.resize(wanted, Image.Resampling.BILINEAR)


def _scaled(pixels: NDArray[np.uint8]) -> FloatArray:
    channels_first = pixels[np.newaxis] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
    return np.ascontiguousarray(channels_first, np.float32) / np.float32(255)


# ---- arrays -------------------------------------------------------------------------------------------------


def _from_array(image: ImageInput, array: NDArray[Any], image_shape: ImageShape, limits: ImageLimits) -> FloatArray:
    _check_array_shape(image, array.shape, image_shape, limits)
    if array.dtype == np.uint8:
        pixels = np.ascontiguousarray(array, np.float32) / np.float32(255)
    elif array.dtype.kind == "f":
        pixels = _checked_floats(array, image.field)
    else:
        raise ParameterOutOfRange(
            f"{image.field} holds {array.dtype}: send uint8 in [0, 255] or float32 in [0, 1].", field=image.field
        )
    return pixels if pixels.shape == image_shape else _resized(pixels, image_shape)


def _check_array_shape(image: ImageInput, shape: tuple[int, ...], image_shape: ImageShape, limits: ImageLimits) -> None:
    fits = len(shape) == 3 and 0 not in shape and shape[0] == image_shape[0]
    if not fits or not (image.resize or shape == image_shape):
        raise ShapeMismatch(
            f"{image.field} has shape {list(shape)}, the model takes {list(image_shape)} (channels, height, width)"
            + (": send that shape or set resize." if fits else ": send that shape."),
            field=image.field,
            metadata={"expected": str(list(image_shape)), "actual": str(list(shape))},
        )
    _check_pixel_count((shape[2], shape[1]), image.field, limits)


def _checked_floats(array: NDArray[Any], field: str) -> FloatArray:
    low, high = float(array.min()), float(array.max())  # NaN anywhere makes both NaN
    if not (low >= 0 and high <= 1):
        found = "NaN" if np.isnan(low) else f"values from {low:g} to {high:g}"
        raise PixelOutOfRange(f"{field} holds {found}: floats must lie in [0, 1]; or send uint8.", field=field)
    return np.array(array, np.float32, order="C")


def _resized(pixels: FloatArray, image_shape: ImageShape) -> FloatArray:
    size = (image_shape[2], image_shape[1])
    channels = [Image.fromarray(channel).resize(size, Image.Resampling.BILINEAR) for channel in pixels]
    return np.clip(np.stack([np.asarray(channel, np.float32) for channel in channels]), 0, 1)


# ---- errors -------------------------------------------------------------------------------------------------


def _unfit(field: str, what: str) -> ImageUndecodable:
    return ImageUndecodable(f"{field} {what}.", field=field)


def _wrong_size(field: str, size: tuple[int, int], image_shape: ImageShape) -> ShapeMismatch:
    width, height = size
    return ShapeMismatch(
        f"{field} is {width}×{height} pixels, the model takes {image_shape[2]}×{image_shape[1]}: "
        "send that size or set resize.",
        field=field,
        metadata={"expected": f"{image_shape[2]}x{image_shape[1]}", "actual": f"{width}x{height}"},
    )
