"""Messages that are compressed, too large or too many, and answers that nobody reads."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
import zlib

import grpc
import pytest

from explaind.v1 import model_service_pb2
from tests.service.http2.peers import (
    DATA,
    END_STREAM,
    HANG,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    PREFACE,
    assert_serving,
    connected,
    frame,
    h2_caller,
    message,
    settings,
    window_update,
)
from tests.service.rpc.plain_server import path, plain_server
from tests.service.rpc.told import (
    EXHAUSTED,
    EXPLAIN,
    INVALID_ARGUMENT,
    MOST_BYTES,
    OK,
    STREAM_EXPLAIN,
    UNIMPLEMENTED,
    failure,
    item,
    reason,
)

pytestmark = pytest.mark.asyncio


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@pytest.mark.parametrize("size", [1000, 100_000, 3_000_000])
async def test_compressed_messages_are_read(compression, size):
    """Small ones on the event loop, large ones beside it."""
    sent = (b"digit %d " % size * size)[:size]
    async with plain_server() as plain, grpc.aio.insecure_channel(plain.address) as channel:
        assert await channel.unary_unary(path("Echo"))(sent, compression=compression, timeout=HANG) == sent
        echoed = channel.stream_stream(path("EchoStream"))(iter([sent, sent]), compression=compression, timeout=HANG)
        assert [each async for each in echoed] == [sent, sent]


async def test_compressed_explanations_are_answered_like_others(start, request_for):
    running = await start()
    for compression in (grpc.Compression.Gzip, grpc.Compression.Deflate):
        answer = await running.explanations.Explain(request_for(), compression=compression)
        assert answer.prediction.class_name == "bright"


def bomb(compress):
    return compress(bytes(100_000_000))


BROKEN = {
    "a bomb of gzip": ("gzip", lambda: bomb(gzip.compress), EXHAUSTED, "MESSAGE_TOO_LARGE"),
    "a bomb of deflate": ("deflate", lambda: bomb(zlib.compress), EXHAUSTED, "MESSAGE_TOO_LARGE"),
    "gzip cut short": ("gzip", lambda: gzip.compress(b"x" * 1000)[:-9], INVALID_ARGUMENT, "INVALID_REQUEST"),
    "deflate in place of gzip": ("gzip", lambda: zlib.compress(b"x"), INVALID_ARGUMENT, "INVALID_REQUEST"),
    "nothing at all": ("gzip", lambda: b"", INVALID_ARGUMENT, "INVALID_REQUEST"),
    "a mark without a compression": ("identity", lambda: b"x", INVALID_ARGUMENT, "INVALID_REQUEST"),
    "an unknown compression": ("snappy", lambda: b"x", UNIMPLEMENTED, None),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["unary", "streamed"])
@pytest.mark.parametrize("name", BROKEN)
async def test_what_cannot_be_inflated_is_refused_typed_and_the_next_call_served(start, name, streamed):
    encoding, data, code, why = BROKEN[name]
    running = await start(max_message_bytes=MOST_BYTES)
    async with h2_caller(running.server.address) as caller:
        stream = caller.begin(STREAM_EXPLAIN if streamed else EXPLAIN, [("grpc-encoding", encoding)])
        await caller.upload(stream, message(data(), mark=1))
        answer = await caller.answer(stream)
        last = answer.trailers or answer.fields
        assert (answer.status[0], reason(last)) == (code, why)
        assert (await caller.answer(caller.call())).status[0] == OK
    assert not running.server._grpc._calls


async def test_a_bomb_takes_no_more_memory_than_a_message_may_have():
    data = bomb(gzip.compress)
    async with plain_server(most_message_bytes=MOST_BYTES) as plain, h2_caller(plain.address) as caller:
        tracemalloc.start()
        try:
            stream = caller.begin(path("Echo"), [("grpc-encoding", "gzip")])
            await caller.upload(stream, message(data, mark=1))
            answer = await caller.answer(stream)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert answer.status[0] != OK
        assert peak < 20 * MOST_BYTES  # a fifth of what would come of it; a test's own log lines take some, too


async def test_a_message_over_the_limit_is_refused_before_it_has_come():
    async with plain_server(most_message_bytes=MOST_BYTES) as plain, connected(plain.address) as peer:
        peer.send(peer.headers(1, path("Echo")), frame(DATA, 0, 1, b"\0" + (MOST_BYTES + 1).to_bytes(4, "big")))
        assert (await peer.find(HEADERS)).fields["grpc-status"] == EXHAUSTED
        # What the peer had sent by then is passed over.
        peer.send(*[frame(DATA, 0, 1, bytes(16_000))] * 20, peer.call(3, path("Echo"), bytes(MOST_BYTES // 100)))
        assert (await peer.answer(3))[2]["grpc-status"] == OK


async def test_a_message_of_just_the_limit_is_taken():
    async with (
        plain_server(most_message_bytes=MOST_BYTES) as plain,
        grpc.aio.insecure_channel(plain.address) as channel,
    ):
        echo = channel.unary_unary(path("Echo"))
        assert len(await echo(bytes(MOST_BYTES), timeout=HANG)) == MOST_BYTES
        assert await failure(echo(bytes(MOST_BYTES + 1), timeout=HANG)) == (
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "MESSAGE_TOO_LARGE",
        )


@pytest.mark.parametrize("size", [15_000, 17_000, 40_000, 60_000])
async def test_too_much_metadata_is_refused_typed_and_leaves_other_calls_unharmed(start, small_engine, until, size):
    """Far more than that ends the connection, as it must: its header tables no longer agree."""
    running = await start(small_engine(seconds=0.3))
    other = asyncio.ensure_future(running.explain())
    await until(lambda: running.engine.running == 1)
    call = running.models.ListModels(model_service_pb2.ListModelsRequest(), metadata=(("x-long", "m" * size),))
    if size == 15_000:
        assert [each.name for each in (await call).models] == ["small"]
    elif size == 17_000:
        assert await failure(call) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST")
    if size <= 17_000:
        assert (await other).prediction.class_name == "bright"
    else:
        with pytest.raises(grpc.aio.AioRpcError):
            await call
        await asyncio.gather(other, return_exceptions=True)
    await assert_serving(running.server.address)


async def test_more_calls_than_may_wait_are_refused_with_when_to_come_again():
    """Those that wait are served, and so is whoever comes later."""
    async with plain_server(most_waiting=4) as plain, h2_caller(plain.address) as caller:
        with caller.at_once():  # so that all are there before the first has had its turn
            streams = [caller.call(path("Echo"), b"a") for _ in range(50)]
        answers = [await caller.answer(stream) for stream in streams]
        codes = [answer.status[0] for answer in answers]
        assert set(codes) == {OK, EXHAUSTED}
        assert codes.count(OK) >= 5
        refused = answers[codes.index(EXHAUSTED)].fields
        assert (reason(refused), int(refused["grpc-retry-pushback-ms"])) == ("QUEUE_FULL", 500)
        assert (await caller.answer(caller.call(path("Echo"), b"b"))).data == message(b"b")


@pytest.mark.parametrize("count", [1, 50])
async def test_a_stream_whose_answers_nobody_reads_holds_the_items_back(start, request_for, count):
    """What waits is bounded by the window of the stream, whatever the peer would send."""
    running = await start(stream_window=2)
    sent = message(item(request_for, "i" * 10_000).SerializeToString())
    async with connected(running.server.address, PREFACE + settings((INITIAL_WINDOW_SIZE, 0))) as peer:
        peer.send(peer.headers(1, STREAM_EXPLAIN))
        for _ in range(count):
            peer.send(frame(DATA, 0, 1, sent))
        await asyncio.sleep(0.3)
        assert len(running.engine.seen) <= min(count, 3)
        peer.send(frame(DATA, END_STREAM, 1), settings((INITIAL_WINDOW_SIZE, 65_535)))
        answered = 0
        while not (found := await peer.frame()).ends:
            if found.kind == DATA:
                answered += found.payload.count(b"bright")
                peer.send(window_update(1, len(found.payload)), window_update(0, len(found.payload)))
        assert found.fields["grpc-status"] == OK
        assert len(running.engine.seen) == count


async def test_a_stream_that_nobody_reads_credits_nothing_so_memory_is_bounded():
    async with plain_server() as plain, h2_caller(plain.address) as caller:
        stream = caller.begin(path("Hold"))
        upload = asyncio.ensure_future(caller.upload(stream, message(bytes(100_000)) * 40))
        await asyncio.sleep(0.3)
        assert not upload.done()
        assert caller.state.local_flow_control_window(stream) == 0
        plain.opened.set()
        async with asyncio.timeout(HANG):
            await upload
        assert (await caller.answer(stream)).status[0] == OK
        assert len(plain.read) == 40
