"""Messages from the arguments that both clients take."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind_client.errors import REQUEST_ID_KEY, ExplaindError, InvalidRequest, from_status
from explaind_client.images import ImageLike, PixelArray, to_batch, to_image

LatentRanking = bool | pb.LatentRankingParameters
AnomalyScore = bool | pb.AnomalyScoreParameters
PathMask = bool | pb.PathMaskParameters
Metadata = tuple[tuple[str, str], ...]
REQUEST_ID = re.compile(r"[\x21-\x7e]{1,128}")
"""What a daemon takes; another id it replaces by one of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What is asked about an image. True asks for an explanation with the daemon's defaults, a message with yours;
    none of the three: the prediction only.

    model: a name that `list_models` gives. version "": the highest. top_classes 0: the scores of all classes.
    uint8_images: masks and images come back as uint8, where 255 stands for 1, in a fourth of the bytes.
    resize: let the daemon bring a wrong size to the model's, which is an error otherwise.
    """

    model: str
    version: str = ""
    top_classes: int = 0
    uint8_images: bool = False
    latent_ranking: LatentRanking = False
    anomaly_score: AnomalyScore = False
    path_mask: PathMask = False
    resize: bool = False

    def request(self, image: ImageLike) -> service_pb.ExplainRequest:
        """The message for one image; raises as `to_image` does."""
        return service_pb.ExplainRequest(
            model=self.model,
            model_version=self.version,
            image=to_image(image, resize=self.resize),
            top_classes=self.top_classes,
            image_dtype=pb.DATA_TYPE_UINT8 if self.uint8_images else pb.DATA_TYPE_UNSPECIFIED,
            latent_ranking=pb.LatentRankingParameters() if self.latent_ranking is True else self.latent_ranking or None,
            anomaly_score=pb.AnomalyScoreParameters() if self.anomaly_score is True else self.anomaly_score or None,
            path_mask=pb.PathMaskParameters() if self.path_mask is True else self.path_mask or None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamItem:
    """The answer to one item of a stream: exactly one of response and error."""

    item_id: str
    response: service_pb.ExplainResponse | None = None
    error: ExplaindError | None = None


def stream_item(answer: service_pb.StreamExplainResponse, request_id: str) -> StreamItem:
    """request_id: of the stream, for an item's error that names none."""
    if answer.WhichOneof("result") == "error":
        return StreamItem(item_id=answer.item_id, error=from_status(answer.error, request_id=request_id))
    return StreamItem(item_id=answer.item_id, response=answer.response)


def score_request(
    images: Sequence[ImageLike] | PixelArray,
    *,
    model: str,
    version: str,
    resize: bool,
    parameters: pb.AnomalyScoreParameters | None,
) -> service_pb.ScoreAnomaliesRequest:
    """The message for many images; raises as `to_batch` does."""
    batch, encoded = to_batch(images)
    return service_pb.ScoreAnomaliesRequest(
        model=model,
        model_version=version,
        batch=batch,
        encoded=None if batch is not None else service_pb.EncodedImages(images=encoded),
        resize=resize,
        parameters=parameters,
    )


def call_metadata(extra: Metadata, request_id: str) -> tuple[str, Metadata]:
    """(request id, metadata). One id a logical call: gRPC sends the same metadata with every attempt."""
    request_id = request_id or uuid.uuid4().hex
    if not REQUEST_ID.fullmatch(request_id):
        raise InvalidRequest(
            "A request id has at most 128 printable ASCII characters, and no spaces.",
            metadata={"field": REQUEST_ID_KEY},
        )
    return request_id, (*extra, (REQUEST_ID_KEY, request_id))
