"""Who answers a command: a daemon, or an engine in this process that is asked with the same messages."""

from __future__ import annotations

import io
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any, TypeVar

from prometheus_client import CollectorRegistry

from explaind.backends.call_context import calling
from explaind.cli.options import settings_from
from explaind.engine import Engine
from explaind.errors import ConfigurationError, ExplaindError
from explaind.explanations.budget import Budget
from explaind.metrics import Metrics
from explaind.service import convert, logging, status
from explaind.settings import Settings
from explaind.v1 import explanation_pb2 as pb
from explaind.v1 import explanation_service_pb2 as service_pb
from explaind.v1 import model_service_pb2 as model_pb
from explaind_client import Ask, Client, ImageLike, StreamItem
from explaind_client.errors import ExplaindError as ClientError
from explaind_client.errors import from_status
from explaind_client.latents import compare_request, traverse_request
from explaind_client.requests import score_request

T = TypeVar("T")


class LocalExplainer:
    """`Client`'s methods over an engine in this process: no port, no queue. Raises what `Client` raises, and
    ConfigurationError for what is the operator's to mend."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        logging.configure(settings.model_copy(update={"log_level": "error"}))
        with _said_once():
            self._engine = Engine.open(settings, Metrics(CollectorRegistry()))
            self._engine.warm()

    def explain(self, image: ImageLike, *, timeout: float = 30.0, **asked: Any) -> service_pb.ExplainResponse:
        """asked: the fields of `Ask`."""
        return self._explain(Ask(**asked).request(image), timeout)

    def stream(
        self,
        items: Iterable[tuple[str, ImageLike]],
        *,
        ask: Ask,
        window: int = 16,
        timeout: float = 600.0,
    ) -> Iterator[StreamItem]:
        """In the order of the items; at most `window` are read ahead."""

        def answer(item_id: str, image: ImageLike) -> StreamItem:
            try:
                return StreamItem(item_id=item_id, response=self._explain(ask.request(image), None))
            except ClientError as exc:
                return StreamItem(item_id=item_id, error=exc)

        running: deque[Future[StreamItem]] = deque()
        with ThreadPoolExecutor(self._settings.workers) as pool:
            for item in items:
                running.append(pool.submit(answer, *item))
                if len(running) >= window:
                    yield running.popleft().result()
            while running:
                yield running.popleft().result()

    def score_anomalies(
        self,
        images: Sequence[ImageLike],
        *,
        model: str,
        version: str = "",
        parameters: pb.AnomalyScoreParameters | None = None,
        resize: bool = False,
    ) -> service_pb.ScoreAnomaliesResponse:
        message = score_request(images, model=model, version=version, resize=resize, parameters=parameters)
        return _translated(lambda: self._score(message))

    def compare_latents(
        self, image_a: ImageLike, image_b: ImageLike, *, timeout: float = 30.0, **asked: Any
    ) -> service_pb.CompareLatentsResponse:
        """asked: as `Client.compare_latents`."""
        message = compare_request(image_a, image_b, **asked)
        return _translated(
            lambda: convert.compare_result_to_proto(
                self._engine.compare(convert.compare_request_from_proto(message), _budget(timeout))
            )
        )

    def traverse_latents(
        self, image: ImageLike, *, timeout: float = 30.0, **asked: Any
    ) -> service_pb.TraverseLatentsResponse:
        """asked: as `Client.traverse_latents`."""
        message = traverse_request(image, **asked)
        return _translated(
            lambda: convert.traverse_result_to_proto(
                self._engine.traverse(convert.traverse_request_from_proto(message), _budget(timeout))
            )
        )

    def list_models(self) -> tuple[model_pb.ModelSummary, ...]:
        return tuple(convert.list_models_to_proto(self._engine.list_models()).models)

    def get_model(self, model: str, *, version: str = "") -> model_pb.Model:
        return _translated(lambda: convert.model_to_proto(self._engine.describe(model, version)))

    def close(self) -> None:
        self._engine.close()

    def _explain(self, message: service_pb.ExplainRequest, timeout: float | None) -> service_pb.ExplainResponse:
        def work() -> service_pb.ExplainResponse:
            request = convert.request_from_proto(message)
            budget, cost_class = _budget(timeout), self._engine.cost_class(request)
            with calling(budget=budget, cost_class=cost_class):
                explanation = self._engine.explain(request, budget)
            form = convert.answer_form_from_proto(message)
            return convert.explanation_to_proto(explanation, form=form, anomaly=request.anomaly_score)

        return _translated(work)

    def _score(self, message: service_pb.ScoreAnomaliesRequest) -> service_pb.ScoreAnomaliesResponse:
        request = convert.score_request_from_proto(message, max_images=self._settings.max_batch_images)
        result = self._engine.score(request, Budget())
        return convert.score_result_to_proto(
            result,
            [(index, status.from_error(error)) for index, error in result.errors],
            parameters=request.parameters,
            image_count=len(request.images),
        )


Explainer = Client | LocalExplainer


@contextmanager
def answering(server: str, model_store: Path | None, backend: str | None = None) -> Iterator[Explainer]:
    """The daemon at `server` (host:port), else an engine in this process."""
    if server:
        with Client(server) as client:
            yield client
        return
    local = LocalExplainer(settings_from(model_store=model_store, backends=(backend,) if backend else None))
    try:
        yield local
    finally:
        local.close()


def chosen_model(explainer: Explainer, model: str) -> str:
    """The model that was named; the only one there is, where none was. Raises ConfigurationError otherwise."""
    if model:
        return model
    names = [summary.name for summary in explainer.list_models()]
    if len(names) == 1:
        return names[0]
    raise ConfigurationError(f"Name one of the models with --model: {', '.join(names) or 'there is none'}.")


@contextmanager
def _said_once() -> Iterator[None]:
    """Leaves out what was logged on the way to an error, for the error says it again."""
    held = io.StringIO()
    try:
        with redirect_stderr(held):
            yield
    except ExplaindError:
        held.truncate(0)
        raise
    finally:
        sys.stderr.write(held.getvalue())


def _budget(timeout: float | None) -> Budget:
    return Budget(None if timeout is None else time.monotonic() + timeout)


def _translated(work: Callable[[], T]) -> T:
    try:
        return work()
    except ConfigurationError:
        raise  # the service hides it from callers; here the caller is who can mend it
    except ExplaindError as exc:
        raise from_status(status.from_error(exc)) from exc
