"""Calls that gRPC's own clients would not make, to both servers: what each of them says in HTTP/2's own words."""

from __future__ import annotations

import pytest

from tests.service.http2.peers import HEALTH, WATCH, h2_caller, message
from tests.service.rpc.told import EXPLAIN, STREAM_EXPLAIN

pytestmark = pytest.mark.asyncio

MODELS = "/explaind.v1.ModelService/ListModels"
GET_MODEL = "/explaind.v1.ModelService/GetModel"
TRANSPORTS = ("explaind", "grpcio")
ID = ("x-request-id", "me")

CALLS = {
    "health": (HEALTH, message(), [ID]),
    "health of one that is unknown": (HEALTH, message(b"\x0a\x06nobody"), [ID]),
    "health in a message that is none": (HEALTH, message(b"\xff"), [ID]),
    "models": (MODELS, message(), [ID]),
    "a model": (GET_MODEL, message(b"\x0a\x05small"), [ID]),
    "another model": (GET_MODEL, message(b"\x0a\x05other"), [ID]),
    "a model in letters": (GET_MODEL, message(b"\x0a\x06" + "größ".encode()), [ID]),
    "a message that is none": (EXPLAIN, message(b"\xff\xff"), [ID]),
    "no model named": (EXPLAIN, message(), [ID]),
    "an item that is none": (STREAM_EXPLAIN, message(b"\xff\xff"), [ID]),
    "an empty stream": (STREAM_EXPLAIN, b"", [ID]),
    "an item without a request": (STREAM_EXPLAIN, message(b"\x0a\x011"), [ID]),
    "binary metadata": (MODELS, message(), [ID, ("x-a-bin", "AAE="), ("x-a-bin", "AgM")]),
    "an id that is none": (MODELS, message(), [("x-request-id", "not an id")]),
    "a time-out": (MODELS, message(), [ID, ("grpc-timeout", "10S")]),
    "an encoding that is not used": (MODELS, message(), [ID, ("grpc-encoding", "gzip")]),
}
EACH_TIME_ANOTHER = {"an id that is none"}
SAID_ANOTHER_WAY = {"an item that is none", "health in a message that is none"}
"""Where the words are those of whatever reads the message."""


async def said(running, where, data, extra):
    async with h2_caller(running.server.address) as caller:
        stream = caller.begin(where, extra)
        if data:
            caller.state.send_data(stream, data)
        caller.state.end_stream(stream)
        caller.flush()
        return await caller.answer(stream)


def told(answer):
    """Of the last fields what says something: grpcio sends a message that is empty, too."""
    last = answer.trailers or answer.fields
    return {name: value for name, value in last.items() if value and name not in (":status", "content-type")}


@pytest.mark.parametrize("name", CALLS)
async def test_both_servers_say_the_same(start, name):
    ours, theirs = [await said(await start(transport=transport), *CALLS[name]) for transport in TRANSPORTS]
    assert ours.reset is theirs.reset is None
    assert ours.data == theirs.data
    last, their_last = told(ours), told(theirs)
    assert last.keys() == their_last.keys()
    assert last["grpc-status"] == their_last["grpc-status"]
    if name not in SAID_ANOTHER_WAY:
        assert last.get("grpc-message") == their_last.get("grpc-message")
    if name not in EACH_TIME_ANOTHER:
        assert last.get("x-request-id") == their_last.get("x-request-id")
    assert ours.fields[":status"] == theirs.fields[":status"] == "200"
    assert ours.fields["content-type"] == theirs.fields["content-type"]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_both_end_a_call_at_its_deadline_themselves(start, transport):
    running = await start(transport=transport)
    async with h2_caller(running.server.address) as caller:
        stream = caller.begin(WATCH, [("grpc-timeout", "100m")])
        caller.state.send_data(stream, message(), end_stream=True)
        caller.flush()
        answer = await caller.answer(stream)
        assert answer.status[0] == "4" or answer.reset is not None  # grpcio leaves it to the caller to know why
