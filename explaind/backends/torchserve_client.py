"""One hop to TorchServe: arrays out, arrays back, and gRPC's errors made ours.

A call that TorchServe cannot serve is BackendUnavailable with a `cause`, so that the next backend can serve; a
call that the caller's own deadline cut short is DeadlineTooShort, and one whose caller went away is Cancelled, which
say nothing about the backend.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import grpc

from explaind.backends import torchserve_payload as wire
from explaind.backends.call_context import current
from explaind.backends.torchserve_management import ModelName
from explaind.backends.torchserve_stubs import inference_pb2, inference_pb2_grpc
from explaind.errors import BackendUnavailable, Cancelled, DeadlineTooShort, ExplaindError
from explaind.explanations.budget import Budget
from explaind.explanations.models import FloatArray

MESSAGE_BYTES = 64 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_send_message_length", MESSAGE_BYTES),
    ("grpc.max_receive_message_length", MESSAGE_BYTES),
    # gRPC's own backoff grows to two minutes; a restarted TorchServe is to be found again at once.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)
_CAUSES: Mapping[grpc.StatusCode, tuple[str, str]] = {
    grpc.StatusCode.UNAVAILABLE: ("unreachable", "does not answer or its worker died"),
    grpc.StatusCode.DEADLINE_EXCEEDED: ("deadline", "did not answer in time"),
    grpc.StatusCode.NOT_FOUND: ("model_not_loaded", "does not serve this bundle"),
    grpc.StatusCode.RESOURCE_EXHAUSTED: ("message_too_large", "refused the size of the message or its queue is full"),
    grpc.StatusCode.UNIMPLEMENTED: ("wrong_server", "is no TorchServe: the address belongs to another gRPC server"),
}
# TorchServe answers these with codes that mean other things: INTERNAL, and RESOURCE_EXHAUSTED for a killed worker.
_TOLD_BY_DETAILS: Mapping[str, tuple[str, str]] = {
    "has no worker": ("no_worker", "has no free worker for this bundle"),
    "Worker died": ("worker_died", "lost the worker that computed this and starts another"),
    "NotFoundException": ("model_not_loaded", "does not serve this bundle"),
    "Prediction failed": ("worker_error", "runs handlers that failed; build the archives again"),
}


class TorchServeClient:
    """A channel to TorchServe's inference API; may be called from several threads at once.

    timeout_seconds: of one call. Too small: a busy worker looks dead; too large: a hanging one holds requests.
    """

    def __init__(self, address: str, *, timeout_seconds: float = 10.0) -> None:
        self._address = address
        self._timeout_seconds = timeout_seconds
        self._channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._stub = inference_pb2_grpc.InferenceAPIsServiceStub(self._channel)

    def call(
        self, model: ModelName, operation: str, arrays: Mapping[str, FloatArray], **text: str
    ) -> dict[str, FloatArray]:
        """One operation on one payload. text: more of the `input` map, as in `latent_space="morphing"`.

        Raises BackendUnavailable, DeadlineTooShort, Cancelled as soon as the caller is, or the InvalidRequest that the
        handler answered.
        """
        context = current()
        fields = {wire.OPERATION: operation, wire.REQUEST_ID: context.request_id, **text}
        request = inference_pb2.PredictionsRequest(model_name=model.name, model_version=model.version)
        for key, value in fields.items():
            request.input[key] = value.encode()
        request.input[wire.PAYLOAD] = wire.encode_arrays(arrays)
        return wire.decode_reply(self._send(request, context.budget))

    def _send(self, request: inference_pb2.PredictionsRequest, budget: Budget) -> bytes:
        budget.raise_if_cancelled()
        remaining = budget.remaining()
        if remaining <= 0:
            raise _too_late()
        try:
            call = self._stub.Predictions.future(request, timeout=min(remaining, self._timeout_seconds))
            with budget.waking(call.cancel):
                reply = call.result()
        except grpc.FutureCancelledError:
            raise Cancelled("The caller cancelled the request.") from None
        except grpc.RpcError as exc:
            raise self._translated(exc, remaining < self._timeout_seconds) from exc
        except ValueError as exc:  # the channel was closed
            raise self._unavailable("closed", "was closed") from exc
        prediction: bytes = reply.prediction
        return prediction

    def _translated(self, exc: grpc.RpcError, callers_deadline: bool) -> ExplaindError:
        call = cast(grpc.Call, exc)  # what a stub raises is both
        code, details = call.code(), call.details() or ""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED and callers_deadline:
            return _too_late()
        for part, (cause, words) in _TOLD_BY_DETAILS.items():
            if part in details:
                return self._unavailable(cause, words)
        cause, words = _CAUSES.get(code, ("failed", f"failed ({code.name})"))
        return self._unavailable(cause, words)

    def _unavailable(self, cause: str, words: str) -> BackendUnavailable:
        return BackendUnavailable(
            f"TorchServe at {self._address} {words}; see its log, or let another backend serve.",
            metadata={"backend": "torchserve", "cause": cause},
        )

    def close(self) -> None:
        self._channel.close()


def _too_late() -> DeadlineTooShort:
    return DeadlineTooShort("The deadline passed while TorchServe was computing; allow more time.")
