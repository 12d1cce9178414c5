"""What travels between the TorchServe backend and the handlers: float32 arrays as safetensors, errors in its metadata.

No torch and no grpc here: both ends import it. A request's `input` map has the keys below; `payload` holds the
arrays, everything else is UTF-8 text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load, save

from explaind.errors import BackendUnavailable, ExplaindError, InvalidRequest
from explaind.explanations.models import FloatArray

OPERATION: Final = "operation"
LATENT_SPACE: Final = "latent_space"
REQUEST_ID: Final = "request_id"
OUTPUT: Final = "of"  # gradient of weighted `probabilities` (default) or `logits`
PAYLOAD: Final = "payload"

PREDICT: Final = "predict"
GRADIENT: Final = "gradient"
ENCODE: Final = "encode"
DECODE: Final = "decode"
DECODE_VJP: Final = "decode_vjp"

PROBABILITIES: Final = "probabilities"
LOGITS: Final = "logits"


def encode_arrays(arrays: Mapping[str, FloatArray]) -> bytes:
    """Named float32 arrays of any shape → safetensors bytes."""
    return save({name: np.ascontiguousarray(value, dtype=np.float32) for name, value in arrays.items()})


def decode_arrays(payload: bytes | bytearray) -> dict[str, FloatArray]:
    """Safetensors bytes → named float32 arrays.

    Raises InvalidRequest (field `payload`) for anything else: not safetensors, truncated, another dtype.
    """
    content = bytes(payload)
    try:
        arrays: dict[str, FloatArray] = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as exc:
        raise InvalidRequest(f"The payload is not safetensors ({exc}); send float32 arrays.", field=PAYLOAD) from exc
    for name, value in arrays.items():
        if value.dtype != np.float32:
            raise InvalidRequest(f"Array {name} is {value.dtype}; send float32.", field=PAYLOAD)
    return arrays


def encode_error(error: ExplaindError) -> bytes:
    """An item's error as a payload of no arrays: the other items of its batch are not touched."""
    facts = {"error": error.reason, "message": error.message, "field": error.metadata.get("field", "")}
    return save({}, metadata=facts)


def decode_reply(payload: bytes) -> dict[str, FloatArray]:
    """A handler's reply → its arrays; raises the error it carries.

    Raises the InvalidRequest subclass that the handler named, BackendUnavailable for any other error and for
    bytes that are no reply at all.
    """
    facts = _metadata(payload)
    if "error" in facts:
        raise _error(facts)
    try:
        return decode_arrays(payload)
    except InvalidRequest as exc:
        raise BackendUnavailable("TorchServe's reply cannot be read; see its model log.") from exc


def _metadata(payload: bytes) -> dict[str, str]:
    try:
        size = int.from_bytes(payload[:8], "little")
        header = json.loads(payload[8 : 8 + size])
        return dict(header.get("__metadata__") or {})
    except (ValueError, AttributeError, TypeError, OverflowError, RecursionError) as exc:
        raise BackendUnavailable("TorchServe's reply cannot be read; see its model log.") from exc


def _error(facts: Mapping[str, str]) -> ExplaindError:
    message = facts.get("message", "") or "The worker gave no message."
    for kind in _invalid_requests(InvalidRequest):
        if kind.reason == facts["error"]:
            return kind(message, field=facts.get("field", ""))
    return BackendUnavailable(
        f"A TorchServe worker failed: {message}", metadata={"backend": "torchserve", "cause": "worker_error"}
    )


def _invalid_requests(root: type[InvalidRequest]) -> Iterator[type[InvalidRequest]]:
    yield root
    for child in root.__subclasses__():
        yield from _invalid_requests(child)
