"""What a call can raise. The tree follows the daemon's own; the daemon's `ErrorInfo.reason` picks the class.

ExplaindError
├── InvalidRequest            the input; `field` names it
│   ├── ImageUndecodable      not a PNG, JPEG or WebP, truncated, animated …
│   ├── ImageTooLarge         more than 16 MiB, or too many pixels
│   │   └── MessageTooLarge   of all images of one message together
│   ├── ShapeMismatch         not the model's size; `resize=True` brings it there
│   ├── PixelOutOfRange       NaN, or outside [0, 1]
│   └── ParameterOutOfRange   a class index, step count, level … the model cannot take
├── ModelNotFound             `metadata["models"]` or `["versions"]` lists what there is
├── ExplanationUnsupported    the bundle lacks what was asked for
├── Unavailable               nobody can answer now; `retry_after` is in seconds
│   ├── ModelLoading
│   ├── BackendUnavailable
│   ├── QueueFull             more requests than the daemon takes
│   └── ServerUnreachable     nothing answered at that address
├── DeadlineExceeded          `timeout` passed
│   └── DeadlineTooShort      refused at once: the daemon knows that it takes longer
├── Cancelled
├── NotAuthenticated
├── NotPermitted
└── Unexpected                a bug in the daemon; its log has the request id
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

REQUEST_ID_KEY = "x-request-id"
STATUS_KEY = "grpc-status-details-bin"
MESSAGE_TOO_LARGE = "larger than max"
ANSWER_TOO_LARGE = f"CLIENT: Received message {MESSAGE_TOO_LARGE}"


class ExplaindError(Exception):
    """Base of all of them.

    reason: a fixed upper-case word for machines. metadata: facts for them. request_id: what the daemon's log calls
    this call. code: the gRPC status code.
    """

    reason: ClassVar[str] = "UNEXPECTED"

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        request_id: str = "",
        code: grpc.StatusCode = grpc.StatusCode.UNKNOWN,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or type(self).reason  # type: ignore[misc]  # the class's word, or a newer daemon's
        self.metadata = dict(metadata or {})
        self.request_id = request_id
        self.code = code
        self.retry_after = retry_after

    @property
    def field(self) -> str:
        """Path of the offending field, as in `path_mask.step_count`; empty where no field is to blame."""
        return self.metadata.get("field", "")


class InvalidRequest(ExplaindError):
    """The input cannot be used, and `field` names what is wrong with it; or one message cannot hold the answer."""

    reason = "INVALID_REQUEST"


class ImageUndecodable(InvalidRequest):
    """Not a PNG, JPEG or WebP, truncated, animated, 16-bit, transparent, or a file that cannot be read."""

    reason = "IMAGE_UNDECODABLE"


class ImageTooLarge(InvalidRequest):
    """Over 16 MiB, or more pixels than the daemon decodes."""

    reason = "IMAGE_TOO_LARGE"


class MessageTooLarge(ImageTooLarge):
    """More bytes in one message than the daemon takes; send fewer images at once."""

    reason = "MESSAGE_TOO_LARGE"


class ShapeMismatch(InvalidRequest):
    """Not the model's size or channels; `resize=True` mends the size."""

    reason = "SHAPE_MISMATCH"


class PixelOutOfRange(InvalidRequest):
    """NaN, or floats outside [0, 1]."""

    reason = "PIXEL_OUT_OF_RANGE"


class ParameterOutOfRange(InvalidRequest):
    """A class index, step count or level that this model cannot take."""

    reason = "PARAMETER_OUT_OF_RANGE"


class ModelNotFound(ExplaindError):
    """No such model or version; the metadata lists what there is."""

    reason = "MODEL_NOT_FOUND"


class ExplanationUnsupported(ExplaindError):
    """The model's bundle lacks what was asked for; `get_model` says what it explains."""

    reason = "EXPLANATION_UNSUPPORTED"


class Unavailable(ExplaindError):
    """Nobody can answer now; try again after `retry_after` seconds."""

    reason = "UNAVAILABLE"


class ModelLoading(Unavailable):
    """The daemon has just started."""

    reason = "MODEL_LOADING"


class BackendUnavailable(Unavailable):
    """The daemon is up, but nothing that computes is."""

    reason = "BACKEND_UNAVAILABLE"


class QueueFull(Unavailable):
    """More requests than the daemon takes."""

    reason = "QUEUE_FULL"


class ServerUnreachable(Unavailable):
    """Nothing answered at that address."""

    reason = "SERVER_UNREACHABLE"


class DeadlineExceeded(ExplaindError):
    """The call's timeout passed."""

    reason = "DEADLINE_EXCEEDED"


class DeadlineTooShort(DeadlineExceeded):
    """Refused at once, because such a request takes longer than its timeout."""

    reason = "DEADLINE_TOO_SHORT"


class Cancelled(ExplaindError):
    """The call was given up on one of its sides."""

    reason = "CANCELLED"


class NotAuthenticated(ExplaindError):
    """No credentials, or wrong ones."""

    reason = "NOT_AUTHENTICATED"


class NotPermitted(ExplaindError):
    """These credentials do not allow it."""

    reason = "NOT_PERMITTED"


class Unexpected(ExplaindError):
    """A bug in the daemon: its log tells more under `request_id`."""

    reason = "UNEXPECTED"


def _tree(root: type[ExplaindError]) -> dict[str, type[ExplaindError]]:
    found = {root.reason: root}
    for child in root.__subclasses__():
        found |= _tree(child)
    return found


BY_REASON: Mapping[str, type[ExplaindError]] = _tree(ExplaindError)
"""The class of each reason; the most special one where a reason is inherited."""

# For an answer without a reason we know: a newer daemon, a proxy, or gRPC itself.
BY_CODE: Mapping[grpc.StatusCode, type[ExplaindError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.OUT_OF_RANGE: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: ModelNotFound,
    grpc.StatusCode.FAILED_PRECONDITION: ExplanationUnsupported,
    grpc.StatusCode.UNIMPLEMENTED: ExplanationUnsupported,
    grpc.StatusCode.UNAVAILABLE: ServerUnreachable,
    grpc.StatusCode.RESOURCE_EXHAUSTED: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.UNAUTHENTICATED: NotAuthenticated,
    grpc.StatusCode.PERMISSION_DENIED: NotPermitted,
}
CODES: Mapping[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}


def from_status(status: status_pb2.Status, *, request_id: str = "") -> ExplaindError:
    """The error that a `google.rpc.Status` tells of: a failed call's, or that of one item of a stream or batch."""
    code = CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    info, field, retry_after = _details(status)
    metadata = {"field": field, **info.metadata} if field else dict(info.metadata)
    return _class_of(info.reason, code)(
        status.message,
        reason=info.reason,
        metadata=metadata,
        request_id=metadata.get("request_id", request_id),
        code=code,
        retry_after=retry_after,
    )


def from_rpc_error(error: grpc.RpcError, *, address: str, timeout: float | None, request_id: str) -> ExplaindError:
    """The error of a failed call. Says what to do where the daemon itself could not."""
    call: Any = error  # both kinds of RpcError have these; their stubs disagree
    code, text = call.code(), call.details() or ""
    metadata: dict[str, str | bytes] = dict(call.trailing_metadata() or ())
    request_id = str(metadata.get(REQUEST_ID_KEY, request_id))
    status = _status_of(metadata)
    if status is not None and status.details:
        return from_status(status, request_id=request_id)
    return _class_by_text(code, text)(_advice(code, text, address, timeout), request_id=request_id, code=code)


def _class_by_text(code: grpc.StatusCode, text: str) -> type[ExplaindError]:
    """gRPC's own words alone tell a message that is too large, and whose it was, from a full queue."""
    if ANSWER_TOO_LARGE in text:
        return InvalidRequest
    return MessageTooLarge if MESSAGE_TOO_LARGE in text else BY_CODE.get(code, Unexpected)


def _advice(code: grpc.StatusCode, text: str, address: str, timeout: float | None) -> str:
    if code is grpc.StatusCode.UNAVAILABLE:
        return f"No explaind answers at {address}; start one with `explaind serve`, or check the address. ({text})"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{address} did not answer within {timeout:g} s; allow more time (timeout), or ask for less."
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"{address} does not offer this call; is it an explaind of this version? ({text})"
    if ANSWER_TOO_LARGE in text:
        return (
            "The answer is larger than a client takes in one message; ask for less of it: uint8_images, fewer steps, "
            f"no path or traversals. ({text})"
        )
    if MESSAGE_TOO_LARGE in text:
        return f"The message is larger than {address} takes; send fewer or smaller images in one. ({text})"
    return text or f"{address} ended the call with {code.name}."


def _class_of(reason: str, code: grpc.StatusCode) -> type[ExplaindError]:
    return BY_REASON.get(reason) or BY_CODE.get(code, Unexpected)


def _status_of(metadata: Mapping[str, str | bytes]) -> status_pb2.Status | None:
    raw = metadata.get(STATUS_KEY)
    if not isinstance(raw, bytes):
        return None
    try:
        return status_pb2.Status.FromString(raw)
    except DecodeError:  # a proxy's own idea of the trailer: the code and text still tell
        return None


def _details(status: status_pb2.Status) -> tuple[error_details_pb2.ErrorInfo, str, float | None]:
    """(reason and metadata, first violated field, seconds to wait); empty where the status does not carry them."""
    info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
    retry_after = None
    for detail in status.details:
        if detail.Unpack(retry):
            retry_after = retry.retry_delay.ToTimedelta().total_seconds()
        elif not detail.Unpack(info):
            detail.Unpack(bad)
    return info, bad.field_violations[0].field if bad.field_violations else "", retry_after
