"""Images and requests."""

from __future__ import annotations

from explaind.errors import ImageUndecodable, InvalidRequest
from explaind.explanations.types import AnomalyScoreParameters
from explaind.requests import ExplanationRequest, ImageInput, ScoreRequest, check_image_count
from explaind.service.convert import parameters
from explaind.service.convert.tensors import array_from_proto
from explaind.v1 import explanation_pb2, explanation_service_pb2

_NO_IMAGE = ImageInput()


def image_from_proto(image: explanation_pb2.Image, *, field: str = "image") -> ImageInput:
    """Raises InvalidRequest where there is no image, ShapeMismatch for a tensor that is not C×H×W."""
    source = image.WhichOneof("source")
    if source is None:
        raise InvalidRequest(
            f"{field} is empty; send {field}.encoded (PNG, JPEG or WebP) or {field}.tensor.", field=field
        )
    if source == "tensor":
        array = array_from_proto(image.tensor, rank=3, field=f"{field}.tensor")
        return ImageInput(array=array, resize=image.resize, field=field)
    return ImageInput(encoded=_not_empty(image.encoded, f"{field}.encoded"), resize=image.resize, field=field)


def asked_from_proto(
    message: explanation_service_pb2.ExplainRequest, image: ImageInput = _NO_IMAGE
) -> ExplanationRequest:
    """What is asked for of `image`; without it, enough to tell the cost, and cheap. The presence of a parameter message
    asks for that explanation."""
    given, ranking, anomaly, mask = message.HasField, None, None, None
    if given("latent_ranking"):
        ranking = parameters.ranking_parameters_from_proto(message.latent_ranking)
    if given("anomaly_score"):
        anomaly = parameters.anomaly_parameters_from_proto(message.anomaly_score)
    if given("path_mask"):
        mask = parameters.path_mask_parameters_from_proto(message.path_mask)
    return ExplanationRequest(
        model=message.model,
        version=message.model_version,
        image=image,
        latent_ranking=ranking,
        anomaly_score=anomaly,
        path_mask=mask,
    )


def request_from_proto(message: explanation_service_pb2.ExplainRequest) -> ExplanationRequest:
    """`asked_from_proto` with its image."""
    model_name(message.model)
    return asked_from_proto(message, image_from_proto(message.image))


def score_request_from_proto(
    message: explanation_service_pb2.ScoreAnomaliesRequest, *, max_images: int
) -> ScoreRequest:
    """Raises for the message as a whole; a bad image among good ones is left for the engine to answer by itself."""
    check_image_count(score_size(message), max_images)
    return ScoreRequest(
        model=model_name(message.model),
        version=message.model_version,
        images=_score_images(message),
        parameters=parameters.anomaly_parameters_from_proto(message.parameters, field="parameters")
        if message.HasField("parameters")
        else AnomalyScoreParameters(),
    )


def score_size(message: explanation_service_pb2.ScoreAnomaliesRequest) -> int:
    """How many images the message says it holds."""
    if message.WhichOneof("source") == "batch":
        return message.batch.shape[0] if message.batch.shape else 0
    return len(message.encoded.images)


def model_name(model: str) -> str:
    if not model:
        raise InvalidRequest("model is empty; name a model that ListModels returns.", field="model")
    return model


def _score_images(message: explanation_service_pb2.ScoreAnomaliesRequest) -> tuple[ImageInput, ...]:
    if message.WhichOneof("source") == "batch":
        batch = array_from_proto(message.batch, rank=4, field="batch")
        return tuple(
            ImageInput(array=array, resize=message.resize, field=f"batch[{index}]") for index, array in enumerate(batch)
        )
    return tuple(
        ImageInput(encoded=encoded, resize=message.resize, field=f"encoded.images[{index}]")
        for index, encoded in enumerate(message.encoded.images)
    )


def _not_empty(encoded: bytes, field: str) -> bytes:
    if not encoded:
        raise ImageUndecodable(f"{field} holds no bytes; send a PNG, JPEG or WebP file.", field=field)
    return encoded
