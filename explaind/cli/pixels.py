"""The image of a figure, of the size the model saw; the answer does not carry it."""

from __future__ import annotations

from pathlib import Path

from explaind.cli.options import settings_from
from explaind.explanations.models import FloatArray
from explaind.images import ImageLimits, prepare
from explaind.requests import ImageInput
from explaind.v1.model_service_pb2 import Model


def model_pixels(image: Path, model: Model) -> FloatArray:
    """float32 C×H×W in [0, 1] of an image file. Whether its size was allowed, the answer has settled."""
    return decoded_pixels(image.read_bytes(), model)


def decoded_pixels(encoded: bytes, model: Model) -> FloatArray:
    settings = settings_from()
    limits = ImageLimits(max_bytes=settings.max_image_bytes, max_pixels=settings.max_image_pixels)
    channels, height, width = model.image_shape
    return prepare(ImageInput(encoded=encoded, resize=True), (channels, height, width), limits)
