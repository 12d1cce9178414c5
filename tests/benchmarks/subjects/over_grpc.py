"""A daemon asked over gRPC by the generated stub, one call after the other, with messages that are ready."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import grpc

from explaind.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from explaind_client import Client
from tests.benchmarks.subjects import asked as what
from tests.benchmarks.worker import Call, Stage

CLIENT = "by the Python client: "


@contextmanager
def explaining(
    address: str, pid: int, names: Sequence[str] = tuple(what.ASKED), batches: Sequence[int] = ()
) -> Iterator[Stage]:
    """Calls: as `in_process.explaining`, and a prediction by `explaind_client`. CPU and memory are the daemon's."""
    with grpc.insecure_channel(address) as channel, Client(address) as client:
        stub = ExplanationServiceStub(channel)
        images = what.digits()
        calls: dict[str, Call] = {}
        for name in names:
            calls[name] = _unary(stub.Explain, [what.message(name, image) for image in images], 1)
        for size in batches:
            calls[f"score {size}"] = _unary(stub.ScoreAnomalies, [what.batch_message(what.digits(size))], size)
        calls[CLIENT + what.PREDICTION] = _by_client(client)
        yield Stage(calls, facts=sizes(stub), pids=lambda: (pid,))


def _unary(method: Callable[..., object], messages: Sequence[object], items: int) -> Call:
    def call(number: int) -> int:
        method(messages[number % len(messages)], timeout=120)
        return items

    return call


def _by_client(client: Client) -> Call:
    images = what.digits()

    def call(number: int) -> int:
        client.explain(images[number % len(images)], model=what.MODEL)
        return 1

    return call


def sizes(stub: ExplanationServiceStub) -> dict[str, tuple[int, int]]:
    """Bytes of a request and of its answer, by what is asked."""
    image = what.digits(1)[0]
    messages = {name: what.message(name, image) for name in what.ASKED}
    return {name: (sent.ByteSize(), stub.Explain(sent, timeout=120).ByteSize()) for name, sent in messages.items()}
