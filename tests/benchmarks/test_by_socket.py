"""The lean caller against the real daemon: each call has its own answer, whole, however many come one after another."""

from __future__ import annotations

import os
from collections.abc import Iterator

import grpc
import pytest

from explaind.service.server import Server
from explaind.settings import Settings
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from tests.benchmarks import frames
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.subjects import by_socket
from tests.benchmarks.subjects.by_socket import Caller, CallFailed
from tests.demo_store import STORE
from tests.served import serving, until_serving


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(Settings(port=0, metrics_port=0, model_store=STORE)) as server:
        until_serving(server)
        yield server


@pytest.fixture
def caller(server: Server) -> Iterator[Caller]:
    with Caller(server.address) as caller:
        yield caller


def answered(caller: Caller, message: service_pb.ExplainRequest) -> service_pb.ExplainResponse:
    return service_pb.ExplainResponse.FromString(caller.call("Explain", message.SerializeToString()))


def test_each_call_has_the_answer_that_grpcs_stub_has(server: Server, caller: Caller) -> None:
    messages = [what.message(what.ANOMALY, image) for image in what.digits(5)]
    with grpc.insecure_channel(server.address) as channel:
        stub = ExplanationServiceStub(channel)
        expected = [stub.Explain(message, timeout=60) for message in messages]
    for _ in range(3):
        for message, other in zip(messages, expected, strict=True):
            answer = answered(caller, message)
            assert answer.prediction == other.prediction
            assert answer.anomaly_score == other.anomaly_score
            assert answer.provenance.image_digest == other.provenance.image_digest
    assert not caller._buffer


def test_a_message_of_several_frames_arrives_whole(server: Server) -> None:
    with by_socket.explaining(server.address, os.getpid(), (what.MASK,), (1, 64)) as stage:
        assert [stage.calls[name](0) for name in ("score 1", "score 64", what.MASK)] == [1, 64, 1]


def test_a_refusal_is_no_answer(caller: Caller) -> None:
    with pytest.raises(CallFailed, match="grpc-status 3"):
        caller.call("Explain", b"\xff\xff\xff no message")
    assert answered(caller, what.message(what.PREDICTION, what.digits(1)[0])).prediction.scores


@pytest.mark.parametrize("why", ["asked to go", "silent for long"])
def test_connects_anew_where_it_must(caller: Caller, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    message = what.message(what.PREDICTION, what.digits(1)[0])
    answered(caller, message)
    before = caller._socket
    if why == "asked to go":
        caller._take(frames.GOAWAY, 0, b"")
    else:
        monkeypatch.setattr(by_socket, "LONGEST_IDLE", -1.0)
    assert answered(caller, message).prediction.scores
    assert caller._socket is not before and before.fileno() == -1
