import inspect

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from explaind import errors
from explaind.service import status

ALL_ERRORS = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.ExplaindError)]
EXPECTED = {
    "InvalidRequest": "INVALID_ARGUMENT",
    "ImageUndecodable": "INVALID_ARGUMENT",
    "ImageTooLarge": "INVALID_ARGUMENT",
    "MessageTooLarge": "RESOURCE_EXHAUSTED",
    "ShapeMismatch": "INVALID_ARGUMENT",
    "PixelOutOfRange": "INVALID_ARGUMENT",
    "ParameterOutOfRange": "INVALID_ARGUMENT",
    "ModelNotFound": "NOT_FOUND",
    "ExplanationUnsupported": "FAILED_PRECONDITION",
    "Unavailable": "UNAVAILABLE",
    "ModelLoading": "UNAVAILABLE",
    "BackendUnavailable": "UNAVAILABLE",
    "QueueFull": "RESOURCE_EXHAUSTED",
    "DeadlineTooShort": "DEADLINE_EXCEEDED",
    "Cancelled": "CANCELLED",
    "NotAuthenticated": "UNAUTHENTICATED",
    "NotPermitted": "PERMISSION_DENIED",
    "ConfigurationError": "INTERNAL",
    "BundleInvalid": "INTERNAL",
    "RecipeInvalid": "INTERNAL",
    "ClassifierInvalid": "INTERNAL",
    "DataSetInvalid": "INTERNAL",
    "ParityFailed": "INTERNAL",
    "LaunchFailed": "INTERNAL",
    "ExplaindError": "INTERNAL",
}


def made(kind, message="No; do this instead.", **extra):
    fields = {"field": "image"} if issubclass(kind, errors.InvalidRequest) else {}
    return kind(message, **fields, **extra)


def details(answer, kind):
    found = []
    for packed in answer.details:
        message = kind()
        if packed.Unpack(message):
            found.append(message)
    return found


def test_every_error_of_the_tree_is_listed_here_and_only_those():
    assert {kind.__name__ for kind in ALL_ERRORS} == EXPECTED.keys()


@pytest.mark.parametrize("kind", ALL_ERRORS, ids=lambda kind: kind.__name__)
def test_every_error_has_its_code_and_an_error_info(kind):
    answer = status.from_error(made(kind, metadata={"fact": "1"}), request_id="r1")
    assert grpc.StatusCode[EXPECTED[kind.__name__]].value[0] == answer.code
    (info,) = details(answer, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain, info.metadata["request_id"]) == (kind.reason, "explaind", "r1")
    if EXPECTED[kind.__name__] != "INTERNAL":
        assert answer.message == "No; do this instead."
        assert info.metadata["fact"] == "1"


def test_reasons_are_unique():
    reasons = [kind.reason for kind in ALL_ERRORS]
    assert len(set(reasons)) == len(reasons)


def test_an_invalid_request_names_its_field():
    answer = status.from_error(errors.ParameterOutOfRange("Too few steps.", field="path_mask.step_count"))
    (bad,) = details(answer, error_details_pb2.BadRequest)
    assert [(v.field, v.description) for v in bad.field_violations] == [("path_mask.step_count", "Too few steps.")]


@pytest.mark.parametrize("kind", [errors.QueueFull, errors.ModelLoading, errors.BackendUnavailable])
def test_what_may_be_tried_again_says_when(kind):
    error = kind("Later.", retry_after=0.25)
    answer = status.from_error(error)
    (retry,) = details(answer, error_details_pb2.RetryInfo)
    assert retry.retry_delay.ToNanoseconds() == 250_000_000
    assert dict(status.trailers(error, answer))["grpc-retry-pushback-ms"] == "250"


@pytest.mark.parametrize("error", [ValueError("secret /secret/x"), errors.BundleInvalid("/secret/x is altered.")])
def test_what_is_ours_to_fix_keeps_its_text_from_the_caller(error):
    answer = status.from_error(error, request_id="r7")
    assert "/secret" not in str(answer)
    assert "r7" in answer.message


def test_a_bug_is_unexpected():
    (info,) = details(status.from_error(KeyError("x")), error_details_pb2.ErrorInfo)
    assert info.reason == "UNEXPECTED"


def test_long_texts_are_cut_so_that_the_trailers_arrive():
    error = errors.ModelNotFound("é" * 100_000, metadata={"models": "é" * 100_000})
    answer = status.from_error(error)
    assert len(answer.SerializeToString()) < 4096
    assert len(answer.message) == status.MAX_TEXT


def test_the_rich_status_is_what_grpc_status_reads():
    error = errors.ModelNotFound("There is none.")
    answer = status.from_error(error)
    assert dict(status.trailers(error, answer))["grpc-status-details-bin"] == answer.SerializeToString()
    assert rpc_status.to_status(answer).code is grpc.StatusCode.NOT_FOUND
