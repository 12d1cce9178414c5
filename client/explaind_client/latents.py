"""Messages that ask about latents alone: two images compared, an image's latents moved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client.errors import ParameterOutOfRange
from explaind_client.images import ImageLike, to_image

Hold = Literal["encoded", "zero"]
"""Where the latents that are not moved stand: at the image's own code, or at 0."""

_HOLDS: dict[str, pb.Hold.ValueType] = {"encoded": pb.HOLD_ENCODED, "zero": pb.HOLD_ZERO}


def compare_request(
    image_a: ImageLike,
    image_b: ImageLike,
    *,
    model: str,
    version: str = "",
    latent_space: str = "",
    resize: bool = False,
) -> service_pb.CompareLatentsRequest:
    """The message for two images; raises as `to_image` does."""
    return service_pb.CompareLatentsRequest(
        model=model,
        model_version=version,
        image_a=to_image(image_a, resize=resize),
        image_b=to_image(image_b, resize=resize),
        latent_space=latent_space,
    )


def traverse_request(
    image: ImageLike,
    *,
    model: str,
    version: str = "",
    latent_space: str = "",
    dimensions: Sequence[int] = (),
    low: float | None = None,
    high: float | None = None,
    steps: int | None = None,
    hold: Hold = "encoded",
    resize: bool = False,
) -> service_pb.TraverseLatentsRequest:
    """The message for one image, None for the daemon's default; raises as `to_image` does, ParameterOutOfRange for a
    hold that there is not."""
    return service_pb.TraverseLatentsRequest(
        model=model,
        model_version=version,
        image=to_image(image, resize=resize),
        latent_space=latent_space,
        dimension=dimensions,
        low=low,
        high=high,
        steps=steps,
        hold=_number(hold),
    )


def _number(hold: str) -> pb.Hold.ValueType:
    if hold not in _HOLDS:
        raise ParameterOutOfRange(f"hold is {hold!r}; choose encoded or zero.", metadata={"field": "hold"})
    return _HOLDS[hold]
