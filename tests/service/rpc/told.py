"""What calls of explaind are made of in tests, and what their failures tell."""

from __future__ import annotations

import asyncio
import base64

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from explaind.v1 import explanation_service_pb2
from tests.service.http2.peers import (
    HANG,
)

EXPLAIN = "/explaind.v1.ExplanationService/Explain"
STREAM_EXPLAIN = "/explaind.v1.ExplanationService/StreamExplain"
OK, UNKNOWN, INVALID_ARGUMENT, DEADLINE_EXCEEDED, EXHAUSTED, UNIMPLEMENTED, UNAVAILABLE = (
    "0",
    "2",
    "3",
    "4",
    "8",
    "12",
    "14",
)
MOST_BYTES = 1_000_000


def reason(fields):
    """Of the ErrorInfo in the last fields of an answer."""
    packed = fields.get("grpc-status-details-bin", "")
    status = status_pb2.Status.FromString(base64.b64decode(packed + "=" * (-len(packed) % 4)))
    return reason_in(status.details)


def reason_in(details):
    info = error_details_pb2.ErrorInfo()
    return next((info.reason for each in details if each.Unpack(info)), None)


async def failure(call):
    """Its code and the reason in its details."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async with asyncio.timeout(HANG):
            await call
    status = rpc_status.from_call(caught.value)
    return caught.value.code(), None if status is None else reason_in(status.details)


def item(request_for, name="1", **fields):
    request = request_for(**fields)
    return explanation_service_pb2.StreamExplainRequest(item_id=name, request=request)
