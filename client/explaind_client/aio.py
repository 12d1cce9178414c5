"""The asyncio client: the same calls as `Client`, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from types import TracebackType
from typing import Self

import grpc

from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind.v1 import model_service_pb2 as model_pb
from explaind.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from explaind.v1.model_service_pb2_grpc import ModelServiceStub
from explaind_client.async_feed import AsyncFeed
from explaind_client.calls import EXPLAIN_TIMEOUT, MODELS_TIMEOUT, SCORE_TIMEOUT, STREAM_TIMEOUT, Caller
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


class AsyncClient(Caller):
    """`Client` for asyncio; make it inside the loop that uses it. Arguments, answers and errors are the same.

    >>> async with AsyncClient("localhost:50051") as client:
    ...     answer = await client.explain("digit.png", model="mnist", latent_ranking=True)
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
            grpc.aio.insecure_channel(address, options)
            if credentials is None
            else grpc.aio.secure_channel(address, credentials, options)
        )
        self._explanations = ExplanationServiceStub(self._channel)
        self._models = ModelServiceStub(self._channel)

    async def explain(
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
        """As `Client.explain`."""
        ask = Ask(
            model=model,
            version=version,
            top_classes=top_classes,
            uint8_images=uint8_images,
            latent_ranking=latent_ranking,
            anomaly_score=anomaly_score,
            path_mask=path_mask,
            resize=resize,
        )
        request = await asyncio.to_thread(ask.request, image)
        with self._call(timeout, request_id) as metadata:
            return await self._explanations.Explain(request, timeout=timeout, metadata=metadata)

    async def stream(
        self,
        items: Iterable[tuple[str, ImageLike]] | AsyncIterable[tuple[str, ImageLike]],
        *,
        ask: Ask,
        window: int = 16,
        timeout: float = STREAM_TIMEOUT,
        request_id: str = "",
    ) -> AsyncIterator[StreamItem]:
        """As `Client.stream`; items may also be asynchronous."""
        feed = AsyncFeed(items, ask, window)
        with self._call(timeout, request_id) as metadata:
            call = self._explanations.StreamExplain(feed.requests(), timeout=timeout, metadata=metadata)
            try:
                async for answer in call:
                    feed.answered()
                    yield stream_item(answer, metadata[-1][1])
                    for refused in feed.refused():
                        yield refused
            except grpc.RpcError:
                feed.raise_failure()
                raise
            finally:
                call.cancel()
        feed.raise_failure()
        for refused in feed.refused():
            yield refused

    async def score_anomalies(
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
        """As `Client.score_anomalies`."""
        request = await asyncio.to_thread(
            score_request, images, model=model, version=version, resize=resize, parameters=parameters
        )
        with self._call(timeout, request_id) as metadata:
            return await self._explanations.ScoreAnomalies(request, timeout=timeout, metadata=metadata)

    async def compare_latents(
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
        """As `Client.compare_latents`."""
        request = await asyncio.to_thread(
            compare_request, image_a, image_b, model=model, version=version, latent_space=latent_space, resize=resize
        )
        with self._call(timeout, request_id) as metadata:
            return await self._explanations.CompareLatents(request, timeout=timeout, metadata=metadata)

    async def traverse_latents(
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
        """As `Client.traverse_latents`."""
        request = await asyncio.to_thread(
            traverse_request,
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
            return await self._explanations.TraverseLatents(request, timeout=timeout, metadata=metadata)

    async def list_models(
        self, *, timeout: float = MODELS_TIMEOUT, request_id: str = ""
    ) -> tuple[model_pb.ModelSummary, ...]:
        """As `Client.list_models`."""
        with self._call(timeout, request_id) as metadata:
            answer = await self._models.ListModels(model_pb.ListModelsRequest(), timeout=timeout, metadata=metadata)
        return tuple(answer.models)

    async def get_model(
        self, model: str, *, version: str = "", timeout: float = MODELS_TIMEOUT, request_id: str = ""
    ) -> model_pb.Model:
        """As `Client.get_model`."""
        request = model_pb.GetModelRequest(model=model, model_version=version)
        with self._call(timeout, request_id) as metadata:
            answer = await self._models.GetModel(request, timeout=timeout, metadata=metadata)
        return answer.model

    async def wait_until_reachable(self, timeout: float = 10.0) -> None:
        """As `Client.wait_until_reachable`."""
        try:
            await asyncio.wait_for(self._channel.channel_ready(), timeout)
        except TimeoutError as exc:
            raise self._unreachable(timeout) from exc

    async def close(self) -> None:
        """Ends the channel; calls in progress are cancelled."""
        await self._channel.close(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
