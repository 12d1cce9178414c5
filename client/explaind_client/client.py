"""The blocking client."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import grpc

from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind.v1 import model_service_pb2 as model_pb
from explaind.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from explaind.v1.model_service_pb2_grpc import ModelServiceStub
from explaind_client.calls import EXPLAIN_TIMEOUT, MODELS_TIMEOUT, SCORE_TIMEOUT, STREAM_TIMEOUT, Caller
from explaind_client.feed import Feed
from explaind_client.images import ImageLike, PixelArray
from explaind_client.latents import Hold, compare_request, traverse_request
from explaind_client.requests import (
    AnomalyScore,
    Ask,
    LatentRanking,
    Metadata,
    PathMask,
    StreamItem,
    score_request,
    stream_item,
)
from explaind_client.retry import RetryPolicy, channel_options


class Client(Caller):
    """Asks a daemon about images. Thread-safe; keep one and share it, for a channel is dear and a call is not.

    address: host:port; a name with several addresses is used round-robin. credentials: None for plain text, else
    `grpc.ssl_channel_credentials(...)`. metadata: sent with every call, as (("authorization", "Bearer …"),).

    Every method has a timeout in seconds and raises `explaind_client.errors.ExplaindError`.

    >>> with Client("localhost:50051") as client:
    ...     answer = client.explain("digit.png", model="mnist", anomaly_score=True, path_mask=True)
    ...     print(answer.prediction.class_name, answer.anomaly_score.p_value)
    """

    def __init__(
        self,
        address: str = "localhost:50051",
        *,
        credentials: grpc.ChannelCredentials | None = None,
        retry: RetryPolicy | None = None,
        metadata: Metadata = (),
    ) -> None:
        super().__init__(address, metadata)
        options = channel_options(retry or RetryPolicy())
        self._channel = (
            grpc.insecure_channel(address, options)
            if credentials is None
            else grpc.secure_channel(address, credentials, options)
        )
        self._explanations = ExplanationServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)

    def explain(
        self,
        image: ImageLike,
        *,
        model: str,
        version: str = "",
        latent_ranking: LatentRanking = False,
        anomaly_score: AnomalyScore = False,
        path_mask: PathMask = False,
        top_classes: int = 0,
        uint8_images: bool = False,
        resize: bool = False,
        timeout: float = EXPLAIN_TIMEOUT,
        request_id: str = "",
    ) -> service_pb.ExplainResponse:
        """Prediction and the explanations asked for, of one image (see `Ask`).

        image: a path, encoded bytes, or an array H×W or C×H×W. A path mask with a short timeout comes back with
        outcome BEST_SO_FAR; SOLVER_REFERENCE takes about a minute, so give it `timeout=120`.

        >>> client.explain(pixels, model="mnist", path_mask=PathMaskParameters(self_class=7, other_class=1))
        """
        request = Ask(
            model=model,
            version=version,
            top_classes=top_classes,
            uint8_images=uint8_images,
            latent_ranking=latent_ranking,
            anomaly_score=anomaly_score,
            path_mask=path_mask,
            resize=resize,
        ).request(image)
        with self._call(timeout, request_id) as metadata:
            return self._explanations.Explain(request, timeout=timeout, metadata=metadata)

    def stream(
        self,
        items: Iterable[tuple[str, ImageLike]],
        *,
        ask: Ask,
        window: int = 16,
        timeout: float = STREAM_TIMEOUT,
        request_id: str = "",
    ) -> Iterator[StreamItem]:
        """Many images over one call: one answer for each item, as they are ready, in no promised order.

        items: (item id, image); read lazily, at most `window` ahead of the answers. A bad image answers with its own
        error and the stream goes on; only a lost stream raises. Leaving the loop early cancels what is running.

        >>> for item in client.stream(((p.name, p) for p in folder.iterdir()), ask=Ask(model="mnist", path_mask=True)):
        ...     print(item.item_id, item.error or item.response.prediction.class_name)
        """
        feed = Feed(items, ask, window)
        with self._call(timeout, request_id) as metadata:
            call: Any = self._explanations.StreamExplain(feed.requests(), timeout=timeout, metadata=metadata)
            try:
                for answer in call:
                    feed.answered()
                    yield stream_item(answer, metadata[-1][1])
                    yield from feed.refused()
            except grpc.RpcError:
                feed.raise_failure()  # our own iterator's failure explains the call's
                raise
            finally:
                feed.close()
                call.cancel()
        feed.raise_failure()
        yield from feed.refused()

    def score_anomalies(
        self,
        images: Sequence[ImageLike] | PixelArray,
        *,
        model: str,
        version: str = "",
        parameters: pb.AnomalyScoreParameters | None = None,
        resize: bool = False,
        timeout: float = SCORE_TIMEOUT,
        request_id: str = "",
    ) -> service_pb.ScoreAnomaliesResponse:
        """Prediction and anomaly score of many images in one message, as parallel arrays.

        images: an array N×C×H×W or N×H×W; or a sequence of paths and bytes; or one of equal arrays. A bad one has
        class −1, NaN scores and an entry in `errors`.
        """
        request = score_request(images, model=model, version=version, resize=resize, parameters=parameters)
        with self._call(timeout, request_id) as metadata:
            return self._explanations.ScoreAnomalies(request, timeout=timeout, metadata=metadata)

    def compare_latents(
        self,
        image_a: ImageLike,
        image_b: ImageLike,
        *,
        model: str,
        version: str = "",
        latent_space: str = "",
        resize: bool = False,
        timeout: float = EXPLAIN_TIMEOUT,
        request_id: str = "",
    ) -> service_pb.CompareLatentsResponse:
        """What tells two images apart, factor by factor, the most remarkable difference first.

        `z_score` is positive where the second image has more. `same_p_value` is the chance that two random images lie
        as near each other as these.

        >>> answer = client.compare_latents("a.png", "b.png", model="mnist")
        >>> print(answer.differences[0].label, answer.differences[0].z_score, answer.same_p_value)
        """
        request = compare_request(
            image_a, image_b, model=model, version=version, latent_space=latent_space, resize=resize
        )
        with self._call(timeout, request_id) as metadata:
            return self._explanations.CompareLatents(request, timeout=timeout, metadata=metadata)

    def traverse_latents(
        self,
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
        timeout: float = EXPLAIN_TIMEOUT,
        request_id: str = "",
    ) -> service_pb.TraverseLatentsResponse:
        """What an image becomes, and how likely its class remains, as single latents are moved.

        dimensions: the latents to move; every used one where none is named. low, high, steps: their values (−3 to 3 in
        10 steps). hold: the others at the image's own code, or at 0.

        >>> answer = client.traverse_latents("digit.png", model="mnist", dimensions=[9], steps=5)
        >>> strip = to_array(answer.traversals[0].images)  # 5×1×28×28
        """
        request = traverse_request(
            image,
            model=model,
            version=version,
            latent_space=latent_space,
            dimensions=dimensions,
            low=low,
            high=high,
            steps=steps,
            hold=hold,
            resize=resize,
        )
        with self._call(timeout, request_id) as metadata:
            return self._explanations.TraverseLatents(request, timeout=timeout, metadata=metadata)

    def list_models(
        self, *, timeout: float = MODELS_TIMEOUT, request_id: str = ""
    ) -> tuple[model_pb.ModelSummary, ...]:
        """Every model the daemon serves, with its versions."""
        with self._call(timeout, request_id) as metadata:
            answer = self._models.ListModels(model_pb.ListModelsRequest(), timeout=timeout, metadata=metadata)
        return tuple(answer.models)

    def get_model(
        self, model: str, *, version: str = "", timeout: float = MODELS_TIMEOUT, request_id: str = ""
    ) -> model_pb.Model:
        """Classes, image shape, latent labels, calibration, digests and backends of one model."""
        request = model_pb.GetModelRequest(model=model, model_version=version)
        with self._call(timeout, request_id) as metadata:
            return self._models.GetModel(request, timeout=timeout, metadata=metadata).model

    def wait_until_reachable(self, timeout: float = 10.0) -> None:
        """Returns once the daemon accepts connections; raises ServerUnreachable where it does not within `timeout`."""
        try:
            grpc.channel_ready_future(self._channel).result(timeout=timeout)
        except grpc.FutureTimeoutError as exc:
            raise self._unreachable(timeout) from exc

    def close(self) -> None:
        """Ends the channel; calls in progress are cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
