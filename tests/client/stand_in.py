"""A daemon of the tests' own on loopback, over the real stubs: it answers from the pixels and fails when told to."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2

from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind.v1 import explanation_service_pb2_grpc as service_grpc
from explaind.v1 import model_service_pb2 as model_pb
from explaind.v1 import model_service_pb2_grpc as model_grpc

DIGEST = "d" * 64
CLASSES = tuple("0123456789")


def status(code: grpc.StatusCode, reason: str, message: str = "", **extra: Any) -> status_pb2.Status:
    """extra: field, retry_after, metadata."""
    details: list[Any] = [
        error_details_pb2.ErrorInfo(reason=reason, domain="explaind", metadata=extra.get("metadata", {}))
    ]
    if "field" in extra:
        violation = error_details_pb2.BadRequest.FieldViolation(field=extra["field"])
        details.append(error_details_pb2.BadRequest(field_violations=[violation]))
    if "retry_after" in extra:
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(int(extra["retry_after"] * 1e9))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    packed = []
    for detail in details:
        wrapped = any_pb2.Any()
        wrapped.Pack(detail)
        packed.append(wrapped)
    return status_pb2.Status(code=code.value[0], message=message or reason, details=packed)


UNDECODABLE = status(
    grpc.StatusCode.INVALID_ARGUMENT, "IMAGE_UNDECODABLE", "image.encoded is no picture.", field="image.encoded"
)
BUSY = status(grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL", "Come back later.", retry_after=0.01)
GONE = status(grpc.StatusCode.UNAVAILABLE, "BACKEND_UNAVAILABLE", "No backend lives.", retry_after=0.01)


class StandIn(service_grpc.ExplanationServiceServicer, model_grpc.ModelServiceServicer):
    """failures: what the next calls end with. item_failures: what the next items of streams and batches end with.
    request_ids: of every attempt. asked: the bytes of every image that was looked at. seconds: an item takes.
    padding: bytes that an answer of Explain holds more."""

    def __init__(self) -> None:
        self.failures: deque[status_pb2.Status] = deque()
        self.item_failures: deque[status_pb2.Status] = deque()
        self.request_ids: list[str] = []
        self.asked: list[bytes] = []
        self.requests: list[Any] = []
        self.remaining: list[float] = []
        self.seconds = 0.0
        self.padding = 0
        self.pushback_ms = ""
        self.cancelled = threading.Event()
        self.digest = DIGEST

    def Explain(self, request: service_pb.ExplainRequest, context: Any) -> service_pb.ExplainResponse:  # noqa: N802
        self._begin(request, context)
        time.sleep(self.seconds)
        if (error := self._error(request.image.encoded)) is not None:
            self._fail(context, error)
        return self._answer(request)

    def StreamExplain(  # noqa: N802
        self, request_iterator: Iterator[service_pb.StreamExplainRequest], context: Any
    ) -> Iterator[service_pb.StreamExplainResponse]:
        context.add_callback(lambda: context.is_active() or self.cancelled.set())
        self._begin(None, context)
        for item in request_iterator:
            time.sleep(self.seconds)
            self.requests.append(item.request)
            error = self._error(item.request.image.encoded)
            if error is None:
                yield service_pb.StreamExplainResponse(item_id=item.item_id, response=self._answer(item.request))
            else:
                yield service_pb.StreamExplainResponse(item_id=item.item_id, error=error)

    def ScoreAnomalies(  # noqa: N802
        self, request: service_pb.ScoreAnomaliesRequest, context: Any
    ) -> service_pb.ScoreAnomaliesResponse:
        self._begin(request, context)
        time.sleep(self.seconds)
        images = request.encoded.images or [b"\x89PNG tensor"] * (request.batch.shape[0] if request.batch.shape else 0)
        errors = [self._error(image) for image in images]
        good = [0.25 if error is None else float("nan") for error in errors]
        losses = dict.fromkeys(("mse", "mae", "cosine_distance", "ssim", "cross_entropy", "kl", "mean_norm"), good)
        return service_pb.ScoreAnomaliesResponse(
            model=request.model,
            class_indices=[number(image) if error is None else -1 for image, error in zip(images, errors, strict=True)],
            class_probabilities=good,
            scores=good,
            p_values=good,
            anomalous=[error is None and number(image) == 9 for image, error in zip(images, errors, strict=True)],
            color_cross_entropy=good,
            cross_entropy_excess=good,
            errors=[service_pb.ItemError(index=i, status=error) for i, error in enumerate(errors) if error is not None],
            provenance=pb.Provenance(bundle_digest=self.digest),
            **losses,
        )

    def CompareLatents(  # noqa: N802
        self, request: service_pb.CompareLatentsRequest, context: Any
    ) -> service_pb.CompareLatentsResponse:
        self._begin(request, context)
        self._refuse_unreadable(context, request.image_a.encoded, request.image_b.encoded)
        difference = pb.LatentDifference(dimensions=[1], label="width", z_score=-2.5)
        return service_pb.CompareLatentsResponse(model=request.model, differences=[difference], same_p_value=0.25)

    def TraverseLatents(  # noqa: N802
        self, request: service_pb.TraverseLatentsRequest, context: Any
    ) -> service_pb.TraverseLatentsResponse:
        self._begin(request, context)
        self._refuse_unreadable(context, request.image.encoded)
        traversals = [pb.Traversal(dimensions=[d], dimension=d, label=f"z{d}") for d in request.dimension]
        return service_pb.TraverseLatentsResponse(model=request.model, traversals=traversals)

    def _refuse_unreadable(self, context: Any, *images: bytes) -> None:
        for image in images:
            if (error := self._error(image)) is not None:
                self._fail(context, error)

    def ListModels(self, request: Any, context: Any) -> model_pb.ListModelsResponse:  # noqa: N802
        self._begin(request, context)
        return model_pb.ListModelsResponse(models=[model_pb.ModelSummary(name="digits", versions=["1", "2"])])

    def GetModel(self, request: model_pb.GetModelRequest, context: Any) -> model_pb.GetModelResponse:  # noqa: N802
        self._begin(request, context)
        if request.model != "digits":
            self._fail(
                context,
                status(grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND", metadata={"models": "digits"}),
            )
        model = model_pb.Model(name="digits", version="2", class_names=CLASSES, bundle_digest=DIGEST)
        return model_pb.GetModelResponse(model=model)

    def _begin(self, request: Any, context: Any) -> None:
        metadata = dict(context.invocation_metadata())
        self.request_ids.append(metadata.get("x-request-id", ""))
        self.remaining.append(context.time_remaining())
        if request is not None:
            self.requests.append(request)
        context.set_trailing_metadata((("x-request-id", metadata.get("x-request-id", "")),))
        if self.failures:
            self._fail(context, self.failures.popleft())

    def _fail(self, context: Any, error: status_pb2.Status) -> None:
        trailers = [("grpc-status-details-bin", error.SerializeToString())]
        if self.pushback_ms:
            trailers.append(("grpc-retry-pushback-ms", self.pushback_ms))
        context.set_trailing_metadata(trailers)
        context.abort(next(code for code in grpc.StatusCode if code.value[0] == error.code), error.message)

    def _error(self, image: bytes) -> status_pb2.Status | None:
        if self.item_failures:
            return self.item_failures.popleft()
        self.asked.append(image)
        return None if image.startswith(b"\x89PNG") or not image else UNDECODABLE

    def _answer(self, request: service_pb.ExplainRequest) -> service_pb.ExplainResponse:
        index = number(request.image.encoded)
        return service_pb.ExplainResponse(
            latent_ranking=pb.LatentRanking(latent_space=" " * self.padding) if self.padding else None,
            model=request.model,
            model_version=request.model_version,
            prediction=pb.Prediction(class_index=index, class_name=CLASSES[index], probability=0.25),
            anomaly_score=pb.AnomalyScore(p_value=0.25) if request.HasField("anomaly_score") else None,
            path_mask=pb.PathMask(self_class=index, outcome=pb.PATH_MASK_OUTCOME_CONVERGED)
            if request.HasField("path_mask")
            else None,
            provenance=pb.Provenance(bundle_digest=self.digest),
        )


def picture(value: int) -> bytes:
    """What the stand-in takes for a picture of this number."""
    return b"\x89PNG %d" % value


def number(image: bytes) -> int:
    return int(image.split()[1]) % 10 if image.startswith(b"\x89PNG ") and image.split()[1].isdigit() else 0


def serve(stand_in: StandIn, *, port: int = 0) -> tuple[grpc.Server, int]:
    options: Sequence[tuple[str, int]] = (("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 32 * 2**20))
    server = grpc.server(futures.ThreadPoolExecutor(8), options=options)
    service_grpc.add_ExplanationServiceServicer_to_server(stand_in, server)
    model_grpc.add_ModelServiceServicer_to_server(stand_in, server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    return server, port
