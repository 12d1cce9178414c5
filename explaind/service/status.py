"""The one place where errors become google.rpc.Status (DESIGN §2, the error table)."""

from __future__ import annotations

import grpc
import structlog
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from explaind.errors import (
    Cancelled,
    ConfigurationError,
    DeadlineTooShort,
    ExplaindError,
    ExplanationUnsupported,
    InvalidRequest,
    MessageTooLarge,
    ModelNotFound,
    NotAuthenticated,
    NotPermitted,
    QueueFull,
    Unavailable,
)

log = structlog.get_logger(__name__)

DOMAIN = "explaind"
UNEXPECTED = "UNEXPECTED"
TYPE_URLS = "type.googleapis.com/"
DETAILS_KEY = "grpc-status-details-bin"
PUSHBACK_KEY = "grpc-retry-pushback-ms"
NEVER = "-1"
"""The same call would be refused again, though its code is one that callers retry."""
MAX_TEXT = 400
"""Characters of a message or a metadata value. A status travels in HTTP/2 trailers, percent-encoded, and clients
refuse trailers over 8 KiB: an error that quotes a megabyte of model name would arrive as another error."""

# The nearest class in an error's ancestry counts.
CODES: dict[type[ExplaindError], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    MessageTooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,  # as gRPC's own servers say it
    ModelNotFound: grpc.StatusCode.NOT_FOUND,
    ExplanationUnsupported: grpc.StatusCode.FAILED_PRECONDITION,
    Unavailable: grpc.StatusCode.UNAVAILABLE,
    QueueFull: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineTooShort: grpc.StatusCode.DEADLINE_EXCEEDED,
    Cancelled: grpc.StatusCode.CANCELLED,
    NotAuthenticated: grpc.StatusCode.UNAUTHENTICATED,
    NotPermitted: grpc.StatusCode.PERMISSION_DENIED,
    ConfigurationError: grpc.StatusCode.INTERNAL,
}
Trailers = tuple[tuple[str, str | bytes], ...]


def code_of(error: BaseException) -> grpc.StatusCode:
    """INTERNAL for whatever is not an ExplaindError."""
    return next((CODES[kind] for kind in type(error).__mro__ if kind in CODES), grpc.StatusCode.INTERNAL)


def reason_of(error: BaseException) -> str:
    return error.reason if isinstance(error, ExplaindError) else UNEXPECTED


def is_ours_to_fix(error: BaseException) -> bool:
    """A bug or a broken installation: its text is for the log, not for the caller."""
    return code_of(error) is grpc.StatusCode.INTERNAL


def from_error(error: BaseException, *, request_id: str = "") -> status_pb2.Status:
    """The whole status: code, sentence, ErrorInfo, and BadRequest or RetryInfo where they apply."""
    number: int = code_of(error).value[0]
    return status_pb2.Status(code=number, message=_sentence(error, request_id), details=_details(error, request_id))


def reported(error: BaseException, *, request_id: str = "") -> status_pb2.Status:
    """`from_error`, and what is ours to fix goes to the log with its traceback."""
    if is_ours_to_fix(error):
        log.error("unexpected error", exc_info=error)
    return from_error(error, request_id=request_id)


def trailers(error: BaseException, status: status_pb2.Status) -> Trailers:
    """The status for rich clients, and the pushback that gRPC's own retries obey."""
    details: Trailers = ((DETAILS_KEY, status.SerializeToString()),)
    if isinstance(error, Unavailable):
        return (*details, (PUSHBACK_KEY, str(max(0, round(error.retry_after * 1000)))))
    if isinstance(error, MessageTooLarge):
        return (*details, (PUSHBACK_KEY, NEVER))
    return details


def _sentence(error: BaseException, request_id: str) -> str:
    if is_ours_to_fix(error) or not isinstance(error, ExplaindError):
        return f"The server failed; its log tells more under request id {request_id or 'unknown'}."
    return clip(error.message)


def _details(error: BaseException, request_id: str) -> list[any_pb2.Any]:
    metadata = {} if is_ours_to_fix(error) or not isinstance(error, ExplaindError) else error.metadata
    if request_id:
        metadata = metadata | {"request_id": request_id}
    info = error_details_pb2.ErrorInfo(
        reason=reason_of(error), domain=DOMAIN, metadata={key: clip(value) for key, value in metadata.items()}
    )
    return [_packed(info), *_extra_details(error)]


def _extra_details(error: BaseException) -> list[any_pb2.Any]:
    if isinstance(error, InvalidRequest):
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=clip(error.field), description=clip(error.message)
        )
        return [_packed(error_details_pb2.BadRequest(field_violations=[violation]))]
    if isinstance(error, Unavailable):
        delay = duration_pb2.Duration()
        delay.FromNanoseconds(max(0, round(error.retry_after * 1e9)))
        return [_packed(error_details_pb2.RetryInfo(retry_delay=delay))]
    return []


def clip(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _packed(message: Message) -> any_pb2.Any:
    return any_pb2.Any(type_url=TYPE_URLS + message.DESCRIPTOR.full_name, value=message.SerializeToString())
