"""A real server on loopback around a small engine: a linear classifier in NumPy whose awkward moods a test chooses."""

from __future__ import annotations

import contextlib
import hashlib
import math
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest
import pytest_asyncio
from numpy.typing import NDArray

from explaind.backends.call_context import CallContext, current
from explaind.errors import ExplaindError, ModelNotFound, ShapeMismatch
from explaind.explanations.budget import Budget
from explaind.explanations.latent_types import (
    LatentComparison,
    LatentDifference,
    LatentTraversals,
    Traversal,
    TraversalParameters,
)
from explaind.explanations.types import (
    AnomalyBatch,
    Detector,
    Explanation,
    Factor,
    LabelConfidence,
    Prediction,
    ReconstructionLosses,
    Solver,
)
from explaind.requests import (
    BackendState,
    CompareRequest,
    CompareResult,
    CostClass,
    ExplanationRequest,
    ImageInput,
    ModelDescription,
    ModelSummary,
    ScoreRequest,
    ScoreResult,
    TraverseRequest,
    TraverseResult,
)
from explaind.service.server import Server
from explaind.settings import Settings
from explaind.v1 import explanation_pb2, explanation_service_pb2, explanation_service_pb2_grpc, model_service_pb2_grpc
from tests.service.http2.peers import INITIAL_WINDOW_SIZE, PREFACE, WINDOW, NotingPeer, connected, settings

SHAPE = (1, 4, 4)
CLASSES = ("dark", "bright")


@dataclass
class SmallEngine:
    """Says "bright" from a mean of 0.5 on. seconds: how long an explanation computes, looking at its budget.
    failure: what it raises instead. image_shape: what it says its model takes. A path mask is of the slow class.
    usual: what it says an explanation takes."""

    seconds: float = 0.0
    failure: Exception | None = None
    warming_failure: Exception | None = None
    alive: bool = True
    waiting: tuple[str, ...] = ()
    running: int = 0
    cancelled: int = 0
    most_running: int = 0
    seen: list[ExplanationRequest] = field(default_factory=list)
    threads: list[threading.Thread] = field(default_factory=list)
    checked: list[bool] = field(default_factory=list)
    asked_for: list[tuple[CallContext, Budget]] = field(default_factory=list)
    traversed: list[TraversalParameters] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)
    closed: bool = False
    image_shape: tuple[int, ...] = SHAPE
    usual: float = math.inf
    slow_gate: threading.Event | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def explain(self, request: ExplanationRequest, budget: Budget, *, checked: bool = False) -> Explanation:
        with self._lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
            self.seen.append(request)
            self.threads.append(threading.current_thread())
            self.checked.append(checked)
            self.asked_for.append((current(), budget))
        try:
            return self._explain(request, budget)
        finally:
            with self._lock:
                self.running -= 1

    def _explain(self, request: ExplanationRequest, budget: Budget) -> Explanation:
        self._find(request.model)
        if self.failure is not None:
            raise self.failure
        image = self._image(request.image)
        if self.slow_gate is not None and request.path_mask is not None:
            self.slow_gate.wait(10)
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            try:
                budget.raise_if_cancelled()
            except ExplaindError:
                self.cancelled += 1
                raise
            time.sleep(0.002)
        return Explanation(
            model="small",
            model_version="1",
            prediction=predict(image),
            class_names=CLASSES,
            bundle_digest="b" * 64,
            image_digest=hashlib.sha256(image.tobytes()).hexdigest(),
        )

    def check(self, request: ExplanationRequest, budget: Budget) -> None:
        self._find(request.model)

    def score(self, request: ScoreRequest, budget: Budget) -> ScoreResult:
        self.asked_for.append((current(), budget))
        self._find(request.model)
        images: list[tuple[int, NDArray[Any]]] = []
        errors: list[tuple[int, ExplaindError]] = []
        for index, image in enumerate(request.images):
            try:
                images.append((index, self._image(image)))
            except ExplaindError as error:
                errors.append((index, error))
        return ScoreResult(
            model="small",
            model_version="1",
            indices=tuple(index for index, _ in images),
            predictions=tuple(predict(image) for _, image in images),
            batch=score([image for _, image in images]) if images else None,
            errors=tuple(errors),
            threshold=2.0,
            bundle_digest="b" * 64,
        )

    def compare(self, request: CompareRequest, budget: Budget) -> CompareResult:
        self.asked_for.append((current(), budget))
        self._find(request.model)
        first, second = self._image(request.image_a), self._image(request.image_b)
        means = [np.array([image.mean()], np.float32) for image in (first, second)]
        factor = Factor(dimensions=(0,), label="light", confidence=LabelConfidence.HIGH)
        difference = LatentDifference(
            factor=factor, values_a=means[0], values_b=means[1], z_score=float(means[1][0] - means[0][0])
        )
        return CompareResult(
            model="small",
            model_version="1",
            latent_space="codes",
            predictions=(predict(first), predict(second)),
            comparison=LatentComparison(differences=(difference,), distance=0.25, same_p_value=0.5),
            class_names=CLASSES,
            bundle_digest="b" * 64,
            image_digests=("1" * 64, "2" * 64),
        )

    def traverse(self, request: TraverseRequest, budget: Budget) -> TraverseResult:
        self._find(request.model)
        self.traversed.append(request.parameters)
        image = self._image(request.image)
        values = np.linspace(0, 1, 2, dtype=np.float32)
        traversal = Traversal(
            factor=Factor(dimensions=(0, 1), label="light"),
            dimension=1,
            values=values,
            images=np.stack([image, image]),
            response=values,
            encoded_value=0.5,
        )
        return TraverseResult(
            model="small",
            model_version="1",
            latent_space="codes",
            prediction=predict(image),
            traversals=LatentTraversals(traversals=(traversal,), reconstruction=image, reconstruction_agrees=True),
            class_names=CLASSES,
            bundle_digest="b" * 64,
            image_digest="1" * 64,
        )

    def hold_slow(self) -> threading.Event:
        """Work of the slow class waits until the event is set."""
        self.slow_gate = threading.Event()
        return self.slow_gate

    def cost_class(self, request: ExplanationRequest) -> CostClass:
        if request.path_mask is None:
            return CostClass.FAST
        return CostClass.REFERENCE if request.path_mask.solver is Solver.REFERENCE else CostClass.SLOW

    def usual_seconds(self, request: ExplanationRequest) -> float:
        return self.usual

    def list_models(self) -> tuple[ModelSummary, ...]:
        return (ModelSummary(name="small", versions=("1",), description="Linear."),)

    def waiting_models(self) -> tuple[str, ...]:
        return self.waiting

    def describe(self, model: str, version: str) -> ModelDescription:
        self._find(model)
        return ModelDescription(
            name="small",
            version="1",
            description="Linear.",
            class_names=CLASSES,
            image_shape=self.image_shape,
            latent_spaces=(),
            calibrations=(),
            bundle_digest="b" * 64,
            file_digests={"weights": "c" * 64},
            backends=self.backend_states(),
            explanations=("prediction",),
        )

    def backend_states(self) -> tuple[BackendState, ...]:
        return (BackendState(name="onnx", alive=self.alive, detail="" if self.alive else "stopped by the test"),)

    def warm(self) -> None:
        if self.warming_failure is not None:
            raise self.warming_failure

    def stop(self) -> None:
        self.stopping.set()

    def close(self) -> None:
        self.closed = True

    def _find(self, model: str) -> None:
        if model != "small":
            raise ModelNotFound(f"There is no model {model}; there are: small.", metadata={"models": "small"})

    def _image(self, image: ImageInput) -> NDArray[Any]:
        if image.array is None or image.array.shape != SHAPE:
            raise ShapeMismatch(f"{image.field} is not {SHAPE}; send that.", field=image.field)
        return np.asarray(image.array, dtype=np.float32)


def predict(image: NDArray[Any]) -> Prediction:
    logit = 8.0 * (float(image.mean()) - 0.5)
    bright = 1 / (1 + np.exp(-logit))
    return Prediction(
        class_index=int(bright >= 0.5),
        probability=max(bright, 1 - bright),
        probabilities=np.array([1 - bright, bright]),
        logits=np.array([0.0, logit]),
    )


def score(images: list[NDArray[Any]]) -> AnomalyBatch:
    means = np.array([image.mean() for image in images], dtype=np.float64)
    return AnomalyBatch(
        detector=Detector.MAHALANOBIS,
        scores=means,
        p_values=1 - means,
        threshold=2.0,
        anomalous=means > 0.9,
        probabilities=None,
        losses=ReconstructionLosses(
            mse=means,
            mae=means,
            cosine_distance=means,
            ssim=means,
            cross_entropy=means,
            color_cross_entropy=means,
            cross_entropy_excess=means,
        ),
        kl=means,
        mean_norms=means,
        contributions=((),) * len(images),
        reconstructions=np.stack(images),
        error_maps=np.stack([image[0] for image in images]),
    )


@dataclass(frozen=True)
class Running:
    """A started server, its engine, and a channel to it."""

    server: Server
    engine: SmallEngine
    channel: grpc.aio.Channel
    explanations: Any
    models: Any

    async def explain(self, value: float = 0.9, *, timeout: float = 10.0, **fields: Any) -> Any:
        return await self.explanations.Explain(explain_request(value, **fields), timeout=timeout)


def explain_request(value: float = 0.9, **fields: Any) -> explanation_service_pb2.ExplainRequest:
    return explanation_service_pb2.ExplainRequest(**{"model": "small", "image": bright_image(value), **fields})


def bright_image(value: float = 0.9) -> explanation_pb2.Image:
    values = np.full(SHAPE, value, dtype="<f4").tobytes()
    return explanation_pb2.Image(
        tensor=explanation_pb2.Tensor(shape=SHAPE, dtype=explanation_pb2.DATA_TYPE_FLOAT32, values=values)
    )


Starter = Callable[..., Awaitable[Running]]


@pytest_asyncio.fixture
async def start() -> AsyncIterator[Starter]:
    """Starts servers with the settings given; all are stopped in the end."""
    opened: list[Running] = []

    async def starter(engine: SmallEngine | None = None, *, warm: bool = True, **settings: Any) -> Running:
        small = engine or SmallEngine()
        server = Server(Settings(port=0, metrics_port=0, **settings), small)
        await server.start()
        channel = grpc.aio.insecure_channel(server.address)
        running = Running(
            server,
            small,
            channel,
            explanation_service_pb2_grpc.ExplanationServiceStub(channel),
            model_service_pb2_grpc.ModelServiceStub(channel),
        )
        opened.append(running)
        if warm:
            await eventually(lambda: server.serving)
        return running

    yield starter
    for running in opened:
        await running.channel.close()
        await running.server.stop(grace_seconds=0.0)


@pytest_asyncio.fixture
async def connect() -> AsyncIterator[Callable[..., Awaitable[NotingPeer]]]:
    """Connections to a running server, frame by frame; all are closed in the end."""
    async with contextlib.AsyncExitStack() as opened:

        async def connecting(running: Running, window: int = WINDOW) -> NotingPeer:
            """window: of each stream, for what this peer is sent."""
            greeting = PREFACE + settings((INITIAL_WINDOW_SIZE, window))
            return await opened.enter_async_context(connected(running.server.address, greeting, NotingPeer))

        yield connecting


async def eventually(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Waits for something that must come; how long it takes is not asserted."""
    import asyncio

    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        await asyncio.sleep(0.005)


@pytest.fixture
def small_engine() -> Callable[..., SmallEngine]:
    return SmallEngine


@pytest.fixture
def request_for() -> Callable[..., explanation_service_pb2.ExplainRequest]:
    return explain_request


@pytest.fixture
def image_of() -> Callable[[float], explanation_pb2.Image]:
    return bright_image


@pytest.fixture
def until() -> Callable[..., Awaitable[None]]:
    return eventually
