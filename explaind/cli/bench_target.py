"""What `explaind bench` asks, and the daemon it asks: the generated stub with messages that are ready."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc

from explaind.cli.bench_load import LoadPlan, Measured, run
from explaind.cli.demo_run import IMAGES, image_bytes
from explaind.cli.explainer import chosen_model
from explaind.errors import ConfigurationError
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind.v1.explanation_service_pb2_grpc import ExplanationServiceStub
from explaind.v1.model_service_pb2 import Model
from explaind_client import NO_RETRY, Ask, Client
from explaind_client.errors import from_rpc_error
from explaind_client.retry import channel_options

EXPLANATIONS = ("latent_ranking", "anomaly_score", "path_mask")
PREDICTION, ALL = "prediction", "all"


@dataclass(frozen=True, slots=True)
class Question:
    """requests: sent in turn."""

    name: str
    model: str
    version: str
    requests: tuple[service_pb.ExplainRequest, ...]


def questions(
    target: str, *, model: str, version: str, names: Sequence[str], images: Sequence[Path], resize: bool
) -> list[Question]:
    """One for each name; without names, one for everything that the model explains.

    Raises ServerUnreachable and its kin, and ConfigurationError for what the model does not explain.
    """
    with Client(target) as client:
        described = client.get_model(chosen_model(client, model), version=version)
    offered = [name for name in EXPLANATIONS if name in described.explanations]
    sent = [path.read_bytes() for path in images] or [image_bytes(name) for name, truth in IMAGES.items() if truth]
    # Our own digits are to fit any model; what a caller names is sent as it is.
    fitted = resize or not images
    return [
        Question(
            name=name,
            model=described.name,
            version=described.version,
            requests=tuple(_ask(described, name, offered, fitted).request(image) for image in sent),
        )
        for name in names or _all_names(offered)
    ]


async def measure(target: str, question: Question, plan: LoadPlan) -> Measured:
    """Raises the client's errors where the first calls cannot be answered."""
    requests = itertools.cycle(question.requests)
    async with grpc.aio.insecure_channel(target, options=channel_options(NO_RETRY)) as channel:
        stub = ExplanationServiceStub(channel)

        async def call() -> None:
            try:
                await stub.Explain(next(requests), timeout=plan.timeout)
            except grpc.RpcError as error:
                raise from_rpc_error(error, address=target, timeout=plan.timeout, request_id="") from error

        return await run(call, plan)


def _all_names(offered: Sequence[str]) -> list[str]:
    return [PREDICTION, *offered, *([ALL] if len(offered) > 1 else [])]


def _ask(model: Model, name: str, offered: Sequence[str], resize: bool) -> Ask:
    if name not in (PREDICTION, ALL, *offered):
        known = ", ".join(offered) or "nothing"
        raise ConfigurationError(
            f"Model {model.name} has no {name}; it explains {known}. Choose another --explanation."
        )
    wanted = {each: True for each in offered if name in (each, ALL)}
    return Ask(model=model.name, version=model.version, resize=resize, **wanted)
