"""Every way a call can fail, from a real gRPC server on loopback that fails just so."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures

import grpc
import numpy as np
import pytest

from explaind.backends import torchserve_payload as wire
from explaind.backends.call_context import calling, current
from explaind.backends.torchserve_client import TorchServeClient
from explaind.backends.torchserve_management import ModelName, ready_models
from explaind.backends.torchserve_stubs import inference_pb2, inference_pb2_grpc
from explaind.errors import BackendUnavailable, Cancelled, DeadlineTooShort, ShapeMismatch
from explaind.explanations.budget import Budget

Answer = Callable[[inference_pb2.PredictionsRequest, grpc.ServicerContext], bytes]
MODEL = ModelName("mnist-classifier", "1")
ARRAYS = {"images": np.ones((1, 2), np.float32)}


class Server(inference_pb2_grpc.InferenceAPIsServiceServicer):
    """Answers as the test says, and keeps the requests."""

    def __init__(self) -> None:
        self.answer: Answer = lambda request, context: wire.encode_arrays(ARRAYS)
        self.requests: list[inference_pb2.PredictionsRequest] = []

    def Predictions(  # noqa: N802
        self, request: inference_pb2.PredictionsRequest, context: grpc.ServicerContext
    ) -> inference_pb2.PredictionResponse:
        self.requests.append(request)
        return inference_pb2.PredictionResponse(prediction=self.answer(request, context))

    def fails(self, code: grpc.StatusCode, details: str = "") -> None:
        def answer(request: inference_pb2.PredictionsRequest, context: grpc.ServicerContext) -> bytes:
            context.abort(code, details)

        self.answer = answer


@pytest.fixture
def server() -> Iterator[tuple[Server, str]]:
    servicer = Server()
    running = grpc.server(futures.ThreadPoolExecutor(4))
    inference_pb2_grpc.add_InferenceAPIsServiceServicer_to_server(servicer, running)
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    yield servicer, f"127.0.0.1:{port}"
    running.stop(None).wait()


@pytest.fixture
def client(server: tuple[Server, str]) -> Iterator[TorchServeClient]:
    result = TorchServeClient(server[1], timeout_seconds=5)
    yield result
    result.close()


def _cause(error: pytest.ExceptionInfo[BackendUnavailable]) -> str:
    assert error.value.metadata["backend"] == "torchserve"
    return error.value.metadata["cause"]


def test_a_request_says_operation_space_and_request_id(server: tuple[Server, str], client: TorchServeClient) -> None:
    with calling(request_id="r-1"):
        reply = client.call(MODEL, "encode", ARRAYS, latent_space="morphing")
    (request,) = server[0].requests
    assert (request.model_name, request.model_version) == MODEL
    sent = dict(request.input)
    np.testing.assert_array_equal(wire.decode_arrays(sent.pop("payload"))["images"], ARRAYS["images"])
    assert sent == {"operation": b"encode", "request_id": b"r-1", "latent_space": b"morphing"}
    np.testing.assert_array_equal(reply["images"], ARRAYS["images"])


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_status_is_a_backend_that_cannot_serve(
    server: tuple[Server, str], client: TorchServeClient, code: grpc.StatusCode
) -> None:
    server[0].fails(code, "whatever TorchServe says")
    with pytest.raises(BackendUnavailable) as caught:
        client.call(MODEL, "predict", ARRAYS)
    assert _cause(caught)
    assert "whatever" not in caught.value.message


@pytest.mark.parametrize(
    ("code", "details", "cause"),
    [
        (grpc.StatusCode.INTERNAL, 'Model "m" Version 1 has no worker to serve inference request.', "no_worker"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "Worker died.", "worker_died"),
        (grpc.StatusCode.UNAVAILABLE, "Prediction failed", "worker_error"),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "", "message_too_large"),
        (grpc.StatusCode.INTERNAL, "Model not found: m\norg.pytorch.ModelNotFoundException", "model_not_loaded"),
        (grpc.StatusCode.NOT_FOUND, "", "model_not_loaded"),
        (grpc.StatusCode.INTERNAL, "", "failed"),
    ],
)
def test_torchserves_own_words_tell_the_cause(
    server: tuple[Server, str], client: TorchServeClient, code: grpc.StatusCode, details: str, cause: str
) -> None:
    server[0].fails(code, details)
    with pytest.raises(BackendUnavailable) as caught:
        client.call(MODEL, "predict", ARRAYS)
    assert _cause(caught) == cause


def test_nobody_at_the_address() -> None:
    with socket.socket() as held:  # bound, not listening: nobody else can take the port
        held.bind(("127.0.0.1", 0))
        client = TorchServeClient(f"127.0.0.1:{held.getsockname()[1]}")
        with pytest.raises(BackendUnavailable) as caught:
            client.call(MODEL, "predict", ARRAYS)
        client.close()
    assert _cause(caught) == "unreachable"


def test_another_grpc_server_at_the_address() -> None:
    running = grpc.server(futures.ThreadPoolExecutor(1))
    port = running.add_insecure_port("127.0.0.1:0")
    running.start()
    client = TorchServeClient(f"127.0.0.1:{port}")
    with pytest.raises(BackendUnavailable) as caught:
        client.call(MODEL, "predict", ARRAYS)
    client.close()
    running.stop(None).wait()
    assert _cause(caught) == "wrong_server"


def test_a_closed_client_is_a_backend_that_cannot_serve(client: TorchServeClient) -> None:
    client.close()
    with pytest.raises(BackendUnavailable) as caught:
        client.call(MODEL, "predict", ARRAYS)
    assert _cause(caught) == "closed"


@pytest.mark.parametrize("callers", [True, False])
def test_a_hanging_worker_ends_with_whose_time_was_up(server: tuple[Server, str], callers: bool) -> None:
    """The caller's own deadline says nothing about the backend; ours does."""
    released = threading.Event()

    def hang(request: inference_pb2.PredictionsRequest, context: grpc.ServicerContext) -> bytes:
        released.wait(30)
        return b""

    server[0].answer = hang
    client = TorchServeClient(server[1], timeout_seconds=30 if callers else 0.2)
    deadline = time.monotonic() + 0.2 if callers else None
    with pytest.raises(DeadlineTooShort if callers else BackendUnavailable), calling(deadline=deadline):
        client.call(MODEL, "predict", ARRAYS)
    released.set()
    client.close()


def test_a_cancelled_caller_waits_for_no_hanging_worker(server: tuple[Server, str]) -> None:
    """Its hop is cancelled too, so that TorchServe may drop it; nothing else ends this one."""
    budget, dropped = Budget(), threading.Event()

    def hang(request: inference_pb2.PredictionsRequest, context: grpc.ServicerContext) -> bytes:
        context.add_callback(dropped.set)
        budget.cancel()
        assert dropped.wait(60)
        return b""

    server[0].answer = hang
    client = TorchServeClient(server[1], timeout_seconds=1e6)
    with pytest.raises(Cancelled), calling(budget=budget):
        client.call(MODEL, "predict", ARRAYS)
    assert dropped.wait(60)
    with pytest.raises(Cancelled), calling(budget=budget):
        client.call(MODEL, "predict", ARRAYS)
    assert len(server[0].requests) == 1, "of a cancelled caller nothing is sent"
    client.close()


def test_a_deadline_in_the_past_sends_nothing(server: tuple[Server, str], client: TorchServeClient) -> None:
    with pytest.raises(DeadlineTooShort), calling(deadline=time.monotonic() - 1):
        client.call(MODEL, "predict", ARRAYS)
    assert server[0].requests == []


def test_an_items_error_is_raised_here(server: tuple[Server, str], client: TorchServeClient) -> None:
    server[0].answer = lambda request, context: wire.encode_error(ShapeMismatch("Give (B, 2).", field="images"))
    with pytest.raises(ShapeMismatch, match="Give") as caught:
        client.call(MODEL, "predict", ARRAYS)
    assert caught.value.field == "images"


def test_a_reply_that_cannot_be_read_is_the_backends_fault(
    server: tuple[Server, str], client: TorchServeClient
) -> None:
    server[0].answer = lambda request, context: b"error"
    with pytest.raises(BackendUnavailable, match="cannot be read"):
        client.call(MODEL, "predict", ARRAYS)


def test_contexts_nest_and_end() -> None:
    with calling(request_id="outer", deadline=1.0):
        with calling(request_id="inner"):
            assert (current().request_id, current().deadline) == ("inner", None)
        assert current().request_id == "outer"
    assert (current().request_id, current().deadline) == ("", None)


def test_no_model_is_ready_where_nobody_answers() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert ready_models(f"http://127.0.0.1:{held.getsockname()[1]}", [MODEL]) == set()
